"""How long things took, counted by bounds: what Prometheus calls a histogram, as plain numbers."""

from bisect import bisect_left

BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from the slice of a sweep to what nobody should ever wait."""


class Histogram:
    """`counts`: how many values were up to each of `BOUNDS` and above the one before, then those above all."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
