"""Whether a region may serve a tenant at all, and the sentence that says why not. Pure."""
