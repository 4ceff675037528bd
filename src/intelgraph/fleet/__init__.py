"""A region's processes on one machine: PostgreSQL, the API, the feed, Envoy, and the WAN links between regions.

What to run is one validated value (`topology`); how each part is configured is pure text (`postgres`, `envoy`); who
starts, watches, restarts and re-adopts them is the `supervisor`. Nothing here reads or writes a tenant's data.
"""
