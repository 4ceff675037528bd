"""Small things that every process needs: loops kept alive, log lines, stop signals, whole files, locks.

Nothing here knows of regions, logs or tenants, and nothing here imports another package of ``intelgraph``.
"""
