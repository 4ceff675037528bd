"""What one agent sees: its own database, its own write path, other regions, their reports; and what follows from it."""
