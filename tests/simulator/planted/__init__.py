"""Mistakes planted into production's control code, one at a time: what a simulation is worth is whether it finds them.

``python -m tests.simulator.planted`` runs them all and prints the table of docs/simulator.md. Each is an entry of
``mistakes.MISTAKES`` and changes production at one place, for as long as it is planted; production has no switch.
"""
