"""Pages of reference that are made from definitions, so they cannot be out of date."""
