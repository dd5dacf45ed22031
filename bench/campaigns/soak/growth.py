"""Growth of a server: samples of it at rest, each after a cycle of the same load, compared with each other."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Sample:
    """A server at rest: bytes of resident memory, Python objects, and the numbers of the most frequent types."""

    rss: int
    objects: int
    types: dict[str, int]


@dataclass(frozen=True)
class Growth:
    """The medians of the second half of the samples, minus those of the first half."""

    rss: float
    objects: float
    types: dict[str, float]

    def summary(self) -> str:
        """The growth in one line."""
        most = sorted(self.types.items(), key=lambda item: -item[1])[:5]
        named = ", ".join(f"{name} {count:+,.0f}" for name, count in most if count > 0)
        return f"{self.rss / 1e6:+.2f} MB, {self.objects:+,.0f} objects" + (f" ({named})" if named else "")


def growth(samples: list[Sample]) -> Growth:
    """Compare the two halves of the samples. Leave out cycles in which the server sets up things once."""
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
