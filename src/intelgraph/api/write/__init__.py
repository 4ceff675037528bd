"""From a write to its acknowledgement: operations, group commit, the hop to the home, the write queue, durability."""
