"""Pages of reference that are made from definitions: no person writes them, so none of them can be out of date."""
