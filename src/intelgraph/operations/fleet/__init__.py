"""What an operator does with a fleet's processes: up and down, restarts, faults, links; and what their logs say.

Each of these takes who asks (``FleetOperator``, or a ``FleetLocation`` and an ``Actor`` where there may be no fleet
yet). They need no region's database and no control store, so they work while those are away.
"""
