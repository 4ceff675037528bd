"""Bounds of one worker, each with a share for every tenant: counted things, bytes, streams, turns."""
