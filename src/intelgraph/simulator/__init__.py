"""The promises under every loss that can be imagined: production's control plane on models, virtual time, one seed.

`schedule` says what a seed means, `world` puts the parts together, `promises` says what must never be seen. The lease
keeper, the observer, the region controller with its executors and its salvage, and the write path's lease checks are
those that ship; only the network, the databases, the control store and the clocks are models.
"""
