"""What the control store holds: tenants and placements, recorded plans, reports, drained regions."""
