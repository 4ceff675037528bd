"""Recorded plans, generic and pure: what a plan is, where it may go from where it is, and who does what next.

A *kind* of plan is a table of actions (``table``). A plan is data (``plan``): it is recorded before its first action,
and whoever resumes it needs nothing else. ``states`` is its whole state machine, ``step`` says what an executor does
about it. How a plan is recorded and its effects carried out does not belong here (``control.plans``), nor why a plan
is made (the package whose kind it is: ``placement`` today).
"""
