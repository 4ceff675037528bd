"""A tenant's graph in and out, through the API: imports and exports as whoever is at work here asks for them.

They reach a fleet as its clients do, by ``Access``; what STIX is, and how a bundle becomes batches, is in ``graph``.
"""
