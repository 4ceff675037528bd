"""The control store and what stands on it: the directory of tenants and placements, the issuer's key, opening epochs.

``store`` is the protocol (read, compare-and-set of several keys, watch) and ``sqlite`` its implementation for one
machine. Changes go by compare-and-set only; what cannot be read is denied. No tenant's data is ever in it.
"""
