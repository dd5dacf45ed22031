"""The figures: their places in the generator's answer, their units and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure. `path` is its place in an answer. `floor` tells whether a ratio to the floor has a meaning."""

    path: str
    label: str
    unit: str
    scale: float = 1.0
    digits: int = 1
    more_is_better: bool = False
    floor: bool = True

    def of(self, answer: Mapping[str, Any]) -> float:
        """Return the figure of an answer, in its unit."""
        value: Any = answer
        for key in self.path.split("."):
            value = value[key]
        return float(value) * self.scale


@dataclass(frozen=True)
class MemoryGrowth(Figure):
    """The growth of a process between two moments, in bytes for each of the things counted at `path`.

    It is the growth of the resident pages (RSS). The proportional share (PSS) would not do, because any other process with
    the same libraries that begins or ends moves it by megabytes.
    """

    since: str = "rss0_kb"
    until: str = "rss1_kb"

    def of(self, answer: Mapping[str, Any]) -> float:
        return 1024 * (float(answer[self.until]) - float(answer[self.since])) / float(answer[self.path]) * self.scale


@dataclass(frozen=True)
class PerListener(Figure):
    """A figure divided by the number of listeners."""

    def of(self, answer: Mapping[str, Any]) -> float:
        return super().of(answer) / float(answer["n"])


CPU = Figure("cpu_us_per_delivery", "CPU per delivery", "µs", digits=2)
P50 = Figure("lat_us.p50", "p50", "ms", 0.001)
P99 = Figure("lat_us.p99", "p99", "ms", 0.001)
DELIVERIES = Figure("deliveries_per_s", "deliveries", "k/s", 0.001, 0, more_is_better=True)
CPU_OF_PUSH = Figure("cpu_us_per_publish", "CPU per push", "µs")
PUSHES = Figure("publishes_per_s", "pushes", "/s", digits=0, more_is_better=True)
ANSWER_P99 = Figure("pub_lat_us.p99", "answer p99", "ms", 0.001, 2)
LISTENER_BYTES = MemoryGrowth("n", "memory per idle listener", "kB", 0.001, 2, floor=False)
KERNEL_BYTES = Figure("kernel_bytes_per_conn", "in the kernel, both ends", "kB", 0.001, 1, floor=False)
CPU_OF_JOIN = Figure("cpu_us_per_join", "CPU per join", "µs", digits=0)
JOINS = Figure("connect_per_s", "joins", "/s", digits=0, more_is_better=True)
REPLAYED = PerListener("join_bytes", "replayed to each", "kB", 0.001)
PUSH_BYTES = MemoryGrowth("published", "memory per push", "bytes", 1, 0, floor=False, since="rss1_kb", until="rss2_kb")
ANSWER_P99_MEANWHILE = Figure("meanwhile.pub_lat_us.p99", "answer p99 of a push meanwhile", "ms", 0.001, 1)
DELIVERIES_MEANWHILE = Figure(
    "meanwhile.deliveries_per_s", "deliveries beside it", "k/s", 0.001, 0, more_is_better=True
)
