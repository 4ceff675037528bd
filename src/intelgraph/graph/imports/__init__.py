"""Imports: a bundle, laid out in batches and brought through the API, resumable, with nothing lost.

``plan`` lays it out, ``run`` and ``delivery`` send it, ``answer`` decides, ``journal`` remembers. How an object is sent
is the caller's.
"""
