"""The insert-only log everything is derived from: append, apply, replication links, bookmarks, salvage, the feed.

``sql/`` holds the database's half: the laws themselves (docs/log.md). The Python half installs it, links regions,
waits for standbys, reads the feed, compares digests and repairs gaps. It decides nothing the SQL does not enforce.
"""
