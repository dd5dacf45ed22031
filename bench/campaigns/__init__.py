"""Campaigns: faults under load, to see that no push is lost, and a soak, to see that nothing grows."""
