"""Medians, ranges and ratios of the measurements."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.speed.figures import Figure
from bench.speed.measurement import Measurement
from bench.speed.servers.debian import NCHAN
from bench.speed.servers.floor import FLOOR
from bench.speed.workloads import WORKLOADS, Workload

OVERLOAD = 85
"""Percent of a core above which a steady workload counts as overloaded."""
TO_FLOOR = "x floor"
TO_NCHAN = "x nchan"
TO_PLAIN = "x plain"


@dataclass(frozen=True)
class Value:
    """A figure of one server: the median of its rounds, the least, the most, and its ratios by their heads."""

    figure: Figure
    median: float
    least: float
    most: float
    ratios: dict[str, float]

    @property
    def spread(self) -> float:
        """The distance between the least and the most, in percent of the median."""
        return 100 * (self.most - self.least) / self.median if self.median else 0.0

    def as_dict(self) -> dict[str, Any]:
        named = {"figure": self.figure.label, "unit": self.figure.unit}
        return named | {"median": self.median, "least": self.least, "most": self.most, "ratios": self.ratios}


@dataclass(frozen=True)
class Row:
    """One server in one workload."""

    server: str
    values: list[Value]
    rounds: int
    remarks: list[str]


@dataclass(frozen=True)
class Result:
    """One workload and every server that ran it. `others` is the median of the CPU that everything else took meanwhile."""

    workload: Workload
    rows: list[Row]
    others: float | None

    def row(self, server: str) -> Row | None:
        return next((row for row in self.rows if row.server == server), None)


def _remarks(workload: Workload, measured: list[Measurement]) -> list[str]:
    """Return the faults of all rounds. The order is checked with one publisher only, because several have no order."""
    answers = [one.answer for one in measured if one.answer]
    remarks = [one.failure for one in measured if one.failure][:1]
    names = {"lost": "lost", "dup": "doubled", "closed": "closed", "pub_errors": "refused"}
    if workload.load.connections == 1:
        names["ooo"] = "out of order"
    for key, name in names.items():
        count = sum(answer[key] for answer in answers)
        if count:
            of = f" of {sum(answer['expected'] for answer in answers):,}" if key == "lost" else ""
            remarks.append(f"{count:,}{of} {name}")
    return remarks + _overload(workload, answers)


def _overload(workload: Workload, answers: list[dict[str, Any]]) -> list[str]:
    """Return a remark if a steady workload was too much: the server then writes many pushes at once, late."""
    if not workload.load.rate or not answers:
        return []
    used = statistics.median(answer["server_cpu_pct"] for answer in answers)
    return [f"overloaded: {used:.0f} % of a core"] if used > OVERLOAD else []


class Summary:
    """All measurements of a run."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measured: dict[tuple[str, str], list[Measurement]] = {}
        for one in measurements:
            self._measured.setdefault((one.work, one.server), []).append(one)

    def _of(self, workload: Workload, server: str) -> list[Measurement]:
        return self._measured.get((workload.name, server), [])

    def _figures(self, workload: Workload, server: str, figure: Figure) -> list[float]:
        return [figure.of(one.answer) for one in self._of(workload, server) if one.answer]

    def _median(self, workload: Workload, server: str, figure: Figure) -> float | None:
        found = self._figures(workload, server, figure)
        return statistics.median(found) if found else None

    def _value(self, workload: Workload, server: str, figure: Figure) -> Value:
        found = self._figures(workload, server, figure)
        median = statistics.median(found)
        return Value(figure, median, min(found), max(found), self._ratios(workload, server, figure, median))

    def _ratios(self, workload: Workload, server: str, figure: Figure, median: float) -> dict[str, float]:
        """Return the ratios to the floor, to nchan, and of the first figure to the same server's plain workload."""
        others = {
            TO_FLOOR: self._median(workload, FLOOR.name, figure) if figure.floor else None,
            TO_NCHAN: self._median(workload, NCHAN.name, figure),
            TO_PLAIN: self._median(WORKLOADS[workload.plain], server, figure)
            if workload.plain and figure is workload.figures[0]
            else None,
        }
        return {head: median / other for head, other in others.items() if other}

    def _row(self, workload: Workload, server: str) -> Row:
        measured = self._of(workload, server)
        rounds = sum(bool(one.answer) for one in measured)
        values = [self._value(workload, server, figure) for figure in workload.figures] if rounds else []
        return Row(server, values, rounds, _remarks(workload, measured))

    def result(self, workload: Workload) -> Result:
        """Return the result of a workload, with the servers in the order in which they were first measured."""
        servers = [server for name, server in self._measured if name == workload.name]
        answered = [one for server in servers for one in self._of(workload, server) if one.answer]
        others = statistics.median(one.others for one in answered) if answered and workload.load.pushes else None
        return Result(workload, [self._row(workload, server) for server in servers], others)
