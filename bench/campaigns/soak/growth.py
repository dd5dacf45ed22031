"""Whether a server has grown: what it has at rest after each cycle of the same work."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """A server at rest: bytes of resident memory, Python objects, and how many of the most numerous types."""

    rss: int
    objects: int
    types: dict[str, int]


@dataclass(frozen=True)
class Growth:
    """The medians of the second half of the samples above those of the first."""

    rss: float
    objects: float
    types: dict[str, float]

    def told(self) -> str:
        """In a line."""
        most = sorted(self.types.items(), key=lambda item: -item[1])[:5]
        named = ", ".join(f"{name} {count:+,.0f}" for name, count in most if count > 0)
        return f"{self.rss / 1e6:+.2f} MB, {self.objects:+,.0f} objects" + (f" ({named})" if named else "")


def growth(samples: list[Sample]) -> Growth:
    """From the first half of the samples to the second. What a first cycle sets up once is to be left out of them."""
    half = len(samples) // 2
    before, after = samples[:half], samples[-half:]
    types = {name for sample in after for name in sample.types}
    return Growth(
        median(one.rss for one in after) - median(one.rss for one in before),
        median(one.objects for one in after) - median(one.objects for one in before),
        {
            name: median(one.types.get(name, 0) for one in after) - median(one.types.get(name, 0) for one in before)
            for name in types
        },
    )
