"""The product's objects: STIX 2.1 in and out, imports in batches, samples, the queries over a graph and their engines.

Mapping, batching, digesting and planning are pure, and so are the engines, which make statements; reading files is here
too. Sending anything anywhere is the caller's. The log that stores the graph does not live here.
"""
