"""Leases: renewed after a heartbeat, granted to the API, watched in other regions, timed by a steady clock."""
