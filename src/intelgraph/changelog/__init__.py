"""The insert-only log everything is derived from: append, apply, replication links, bookmarks, salvage, the feed.

``sql/`` holds the database's half: the laws themselves (docs/log.md). The Python half installs it, links regions,
waits for standbys, compares digests and repairs gaps; ``feed/`` is the process that reads a region's log and hosts its
subscribers. It decides nothing the SQL does not enforce.
"""
