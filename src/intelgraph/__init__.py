"""IntelGraph: a multi-region graph-intelligence service that stays up.

Read in this order: ``model`` (the values), ``changelog`` (the log everything is derived from), ``placement`` and
``residency`` (who may write and hold what, where), ``control`` (the agents that move placements), ``api`` (HTTP for
clients), ``fleet`` (the processes of one machine), ``settings`` (what a process reads at its start). A picture of each
group of packages is in docs/architecture.md.
"""

__version__ = "1.13.0.dev0"
