"""The feed of a region: the process that reads its log, and the subscribers that it hosts.

``process.py`` is what ``python -m intelgraph.changelog.feed`` runs. A subscriber is one file here or elsewhere and one
line in ``registry.py``; what it is promised is written in ``subscriber.py``, and kept by ``host.py`` and
``delivery.py``. What a subscriber does with rows does not belong here.
"""
