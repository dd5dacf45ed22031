"""Measurements and campaigns: speed beside peers, nodes that share a Redis, faults and soak."""
