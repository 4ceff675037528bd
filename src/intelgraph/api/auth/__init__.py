"""Who asks: bearer tokens, the key sets that verify them, and the time of day they are judged by."""
