"""The agent: one process a region, and one at the witness. It keeps a lease, looks at the others, and acts."""
