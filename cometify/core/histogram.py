"""A histogram, as Prometheus has it, in plain numbers."""

from bisect import bisect_left
from collections.abc import Sequence

BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets, in seconds: from a slice of the fan-out to longer than anybody should wait."""
STAYS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Bounds in seconds, for connections that stay: from one that breaks at once to a page that is open all day."""
SIZES = (0.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)
"""Bounds in bytes, for replays. The first bucket has those that are empty."""


class Histogram:
    """`counts`: the number of values in each bucket; the last bucket is for values above all `bounds`.

    A bucket has the values up to its bound and above the bound before. `total`: the sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = BOUNDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
