"""A region's controller: observe, decide, record, act; openings, gathering and salvage in its own database."""
