"""STIX 2.1: what a bundle is, how its objects become the graph's and come back, and which of two forms is newer.

``read`` takes bundles of any size apart in bounded memory, ``mapping`` turns objects over, ``write`` puts bundles
together. Nothing here sends anything: imports are ``graph.imports``.
"""
