"""What a fleet is, and where it keeps things: the topology, its parts, its ports, its files."""
