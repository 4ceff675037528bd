"""The product's objects: STIX 2.1 in and out, imports in batches, samples, and the content digest of a tenant.

Mapping, batching and digesting are pure; reading files is here too, sending anything anywhere is the caller's. The
queries over a graph and their engines will live here; the log that stores it does not.
"""
