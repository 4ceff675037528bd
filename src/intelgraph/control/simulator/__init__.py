"""The promises under every loss that can be imagined: real decisions, modelled regions, virtual time, one seed.

`schedule` says what a seed means, `world` puts the parts together, `promises` says what must never be seen. The
decisions, the leases and the log's model are the product's own; what is modelled here is what surrounds them:
processes that die between any two actions, links, clocks, the control store, doors, clients.
"""
