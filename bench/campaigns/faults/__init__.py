"""Faults under load: publishers and listeners write everything down, and afterwards it is compared."""
