"""One region's PostgreSQL: its settings, its creation, its roles and replication, whether it is ready."""
