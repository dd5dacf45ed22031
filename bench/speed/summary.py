"""Medians, spreads and ratios of what was measured."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.speed.figures import Figure
from bench.speed.measurement import Measurement
from bench.speed.servers.debian import NCHAN
from bench.speed.servers.floor import FLOOR
from bench.speed.workloads import WORKS, Work

OVERLOAD = 85
"""Percent of a core."""
TO_FLOOR = "x floor"
TO_NCHAN = "x nchan"
TO_PLAIN = "x plain"


@dataclass(frozen=True)
class Value:
    """A figure of one server: the median of its rounds, the least and the most, and its ratios by their heads."""

    figure: Figure
    median: float
    least: float
    most: float
    ratios: dict[str, float]

    @property
    def spread(self) -> float:
        """The distance of the least and the most, in percent of the median."""
        return 100 * (self.most - self.least) / self.median if self.median else 0.0

    def as_dict(self) -> dict[str, Any]:
        named = {"figure": self.figure.label, "unit": self.figure.unit}
        return named | {"median": self.median, "least": self.least, "most": self.most, "ratios": self.ratios}


@dataclass(frozen=True)
class Row:
    """One server in one work."""

    server: str
    values: list[Value]
    rounds: int
    remarks: list[str]


@dataclass(frozen=True)
class Result:
    """One work, every server that did it; `others`: the median of what else took CPU while it was published to."""

    work: Work
    rows: list[Row]
    others: float | None

    def row(self, server: str) -> Row | None:
        return next((row for row in self.rows if row.server == server), None)


def _remarks(work: Work, measured: list[Measurement]) -> list[str]:
    """What went wrong, of all rounds. Publishers beside each other have no order, so none is asked of them."""
    answers = [one.answer for one in measured if one.answer]
    remarks = [one.failure for one in measured if one.failure][:1]
    names = {"lost": "lost", "dup": "doubled", "closed": "closed", "pub_errors": "refused"}
    if work.load.connections == 1:
        names["ooo"] = "out of order"
    for key, name in names.items():
        count = sum(answer[key] for answer in answers)
        if count:
            of = f" of {sum(answer['expected'] for answer in answers):,}" if key == "lost" else ""
            remarks.append(f"{count:,}{of} {name}")
    return remarks + _overload(work, answers)


def _overload(work: Work, answers: list[dict[str, Any]]) -> list[str]:
    """Whether a steady work was more than the server could do: it then writes many pushes at once, late."""
    if not work.load.rate or not answers:
        return []
    used = statistics.median(answer["server_cpu_pct"] for answer in answers)
    return [f"overloaded: {used:.0f} % of a core"] if used > OVERLOAD else []


class Summary:
    """All measurements of a run."""

    def __init__(self, measurements: Iterable[Measurement]) -> None:
        self._measured: dict[tuple[str, str], list[Measurement]] = {}
        for one in measurements:
            self._measured.setdefault((one.work, one.server), []).append(one)

    def _of(self, work: Work, server: str) -> list[Measurement]:
        return self._measured.get((work.name, server), [])

    def _figures(self, work: Work, server: str, figure: Figure) -> list[float]:
        return [figure.of(one.answer) for one in self._of(work, server) if one.answer]

    def _median(self, work: Work, server: str, figure: Figure) -> float | None:
        found = self._figures(work, server, figure)
        return statistics.median(found) if found else None

    def _value(self, work: Work, server: str, figure: Figure) -> Value:
        found = self._figures(work, server, figure)
        median = statistics.median(found)
        return Value(figure, median, min(found), max(found), self._ratios(work, server, figure, median))

    def _ratios(self, work: Work, server: str, figure: Figure, median: float) -> dict[str, float]:
        """To the floor, to nchan and to the same server's plain work; the last of the principal figure only."""
        others = {
            TO_FLOOR: self._median(work, FLOOR.name, figure) if figure.floor else None,
            TO_NCHAN: self._median(work, NCHAN.name, figure),
            TO_PLAIN: self._median(WORKS[work.plain], server, figure)
            if work.plain and figure is work.figures[0]
            else None,
        }
        return {head: median / other for head, other in others.items() if other}

    def _row(self, work: Work, server: str) -> Row:
        measured = self._of(work, server)
        rounds = sum(bool(one.answer) for one in measured)
        values = [self._value(work, server, figure) for figure in work.figures] if rounds else []
        return Row(server, values, rounds, _remarks(work, measured))

    def result(self, work: Work) -> Result:
        """The servers in the order in which they were measured first."""
        servers = [server for name, server in self._measured if name == work.name]
        answered = [one for server in servers for one in self._of(work, server) if one.answer]
        others = statistics.median(one.others for one in answered) if answered and work.load.pushes else None
        return Result(work, [self._row(work, server) for server in servers], others)
