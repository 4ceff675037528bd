"""Faults of a drill: each is injected, proven to be there, healed, and proven to be gone (``fault.Fault``)."""
