"""Envoy's configuration: each region's edge, the global edge, and what an edge answers by itself."""
