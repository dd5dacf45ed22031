"""Faults of nodes, Redis, networks and clocks: nothing that was acknowledged is lost, doubled or out of order."""
