"""A few small keys that every region must agree on: one protocol, on SQLite or on etcd."""
