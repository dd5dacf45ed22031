"""Latencies, counted in buckets: the memory does not grow with their number."""

import math
from collections import Counter
from collections.abc import Iterator

_GROWTH = math.log(1.02)
"""Each bucket is 2 % wider than the one before. So quantiles are right within 2 %."""
_FINEST = 1e-6
_STEPS = (1, 2, 5)


class Latencies:
    """`count`: of all. `most`: the longest, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.most = max(self.most, seconds)
        self._buckets[int(math.log(max(seconds, _FINEST) / _FINEST) / _GROWTH)] += 1

    def quantile(self, share: float) -> float:
        """The latency in seconds that this share of all does not exceed. 0 if there is none."""
        wanted, seen = share * self.count, 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(_FINEST * math.exp((bucket + 1) * _GROWTH), self.most)
        return self.most

    def rows(self) -> Iterator[tuple[float, int]]:
        """Yield rows of a histogram: an upper bound in seconds, and the count. Bounds are 1, 2, 5, 10, 20 µs and so on.

        The rows begin and end with one that is not empty.
        """
        counts: Counter[float] = Counter()
        for bucket, count in self._buckets.items():
            counts[_bound_above(_FINEST * math.exp((bucket + 0.5) * _GROWTH))] += count
        if not counts:
            return
        bound = min(counts)
        while bound <= max(counts):
            yield bound, counts[bound]
            bound = _bound_above(bound * 1.01)


def _bound_above(seconds: float) -> float:
    exponent = -6
    while True:
        for step in _STEPS:
            bound = float(f"{step}e{exponent}")
            if seconds <= bound:
                return bound
        exponent += 1
