"""Faults, one after the other, under publishers and listeners who write everything down; afterwards it is compared."""
