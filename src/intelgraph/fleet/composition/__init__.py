"""What a fleet consists of, made from its topology: every process with its command, every file that they read."""
