"""A histogram of durations, as Prometheus has it, in plain numbers."""

from bisect import bisect_left

BOUNDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets, in seconds: from a slice of the fan-out to longer than anybody should wait."""


class Histogram:
    """`counts`: the number of values in each bucket; the last bucket is for values above all `BOUNDS`.

    A bucket has the values up to its bound and above the bound before. `total`: the sum of all values, in seconds.
    """

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one value, in seconds."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
