"""IntelGraph: a multi-region graph-intelligence service that stays up.

Read in this order: ``model`` (the values), ``changelog`` (the log everything is derived from), ``placement`` and
``residency`` (who may write and hold what, where), ``api`` (the door), ``fleet`` (the processes), ``settings``
(how a process is told what it is).
"""

__version__ = "1.13.0.dev0"
