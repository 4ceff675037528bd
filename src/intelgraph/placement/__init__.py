"""Which region a write goes to: here, one hop to the home, or nowhere for now. Pure."""
