"""The latencies of several Redis as one histogram."""

from collections.abc import Sequence

from cometify.core.histogram import Histogram


class SumOfHistograms(Histogram):
    """The sum of histograms with the same bounds, at any time."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Histogram]) -> None:
        self._parts = parts
        self.bounds = parts[0].bounds

    @property
    def counts(self) -> list[int]:  # type: ignore[override] # nothing is counted in a sum
        return [sum(counts) for counts in zip(*(part.counts for part in self._parts), strict=True)]

    @property
    def total(self) -> float:  # type: ignore[override]
        return sum(part.total for part in self._parts)
