"""Reading over REST: entities, pages, the tenant's changes once and as a stream, bookmarks that are waited for."""
