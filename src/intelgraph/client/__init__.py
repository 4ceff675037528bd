"""The HTTP client of the API: what an import, an export, and whoever else asks for a tenant go through."""
