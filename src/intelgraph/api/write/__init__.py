"""From a write to its acknowledgement: operations, batches, the hop to the home, holding, durability."""
