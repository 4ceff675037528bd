"""Drills: a workload, its history, what the history proves, how well the fleet did, and the report of it.

The workload is this package's only way to the doors; checks and scores are pure. ``faults`` do something to a running
fleet and prove it.
"""
