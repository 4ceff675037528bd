"""Keeps the processes of one machine running: starts, probes, restarts, stops, and tells."""
