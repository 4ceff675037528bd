"""The API's side of the region's PostgreSQL: every statement it may send, reads put together, failures in our words."""
