"""The keys of the control store that more than one module knows (docs/control.md lists all)."""

LEASES = "leases/"
PLANS = "plans/"
