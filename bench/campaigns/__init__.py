"""Campaigns: faults under load, and a soak, to see that nothing is lost and nothing grows."""
