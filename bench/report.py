"""A run in words: the JSON with everything in it, and the Markdown tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.generator import Measurement
from bench.servers import SERVERS
from bench.summary import Result, Row, Summary, Value
from bench.works import WORKS


@dataclass(frozen=True)
class Run:
    """What was measured: the machine, the versions of the servers, how to install those that were left out."""

    machine: dict[str, str]
    servers: dict[str, str]
    not_installed: dict[str, str]
    measurements: list[Measurement]

    def results(self) -> list[Result]:
        summary = Summary(self.measurements)
        done = {one.work for one in self.measurements}
        return [summary.result(work) for name, work in WORKS.items() if name in done]


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _principal(value: Value) -> list[str]:
    """The first figure of a work: with spread and ratios."""
    digits = value.figure.digits
    around = f"{_number(value.least, digits)} to {_number(value.most, digits)}"
    return [f"**{_number(value.median, digits)}**", around, _times(value.to_floor), _times(value.to_nchan)]


def _further(value: Value) -> list[str]:
    return [_number(value.median, value.figure.digits), _times(value.to_floor), _times(value.to_nchan)]


def _cells(row: Row) -> list[str]:
    if not row.values:
        return []
    return _principal(row.values[0]) + [cell for value in row.values[1:] for cell in _further(value)]


def _heads(result: Result) -> list[str]:
    ratios = ["x floor", "x nchan"]
    first, *further = result.work.figures
    heads = [f"{first.label}, {first.unit}", "least to most", *ratios]
    for figure in further:
        heads += [f"{figure.label}, {figure.unit}", *ratios]
    return heads


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _table(result: Result) -> list[str]:
    heads = ["server", *_heads(result), "remarks"]
    lines = [_line(heads), _line(["---"] + ["---:"] * (len(heads) - 2) + ["---"])]
    for row in result.rows:
        cells = _cells(row) or ["-"] * (len(heads) - 2)
        lines.append(_line([SERVERS[row.server].title, *cells, "; ".join(row.remarks)]))
    return lines


def _section(result: Result) -> list[str]:
    lines = [f"## {result.work.name}: {result.work.title}", "", *_table(result), ""]
    if result.others is not None:
        about = "interrupts and the time that a hypervisor took included"
        lines += [f"Meanwhile everything else took {result.others:.0f} % of one core (median; {about}).", ""]
    return lines


def _brief(result: Result, server: str, number: int) -> str:
    row = result.row(server)
    if not row or not row.values:
        return "-"
    value = row.values[number]
    ratio = "" if value.to_nchan is None else f" ({value.to_nchan:.2f})"
    return f"{_number(value.median, value.figure.digits)}{ratio}"


def _overview(results: list[Result]) -> list[str]:
    """The figures that matter most: a line for each of them, a column for each server."""
    servers = [name for name in SERVERS if any(result.row(name) for result in results)]
    lines = [_line(["", *(SERVERS[name].title for name in servers)]), _line(["---"] + ["---:"] * len(servers))]
    for result in results:
        for number, figure in enumerate(result.work.figures[: result.work.overview]):
            head = f"{result.work.name}: {figure.label}, {figure.unit}"
            lines.append(_line([head, *(_brief(result, name, number) for name in servers)]))
    return lines


def _listed(facts: dict[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts.items()]


def markdown(run: Run, results: list[Result]) -> str:
    """The whole report."""
    lines = ["# Benchmark", "", *_listed(run.machine), "", "Servers:", "", *_listed(run.servers)]
    lines += [f"- {name}: not installed, left out; {how}" for name, how in run.not_installed.items()]
    lines += ["", "Medians of all rounds; x floor and x nchan are ratios to their medians in the same run.", ""]
    lines += ["## Overview", "", "In brackets the ratio to nchan.", "", *_overview(results), ""]
    for result in results:
        lines += _section(result)
    return "\n".join(lines)


def _summarised(result: Result) -> dict[str, Any]:
    rows = {
        row.server: {"rounds": row.rounds, "remarks": row.remarks, "figures": [value.as_dict() for value in row.values]}
        for row in result.rows
    }
    return {"title": result.work.title, "others_cpu_pct": result.others, "servers": rows}


def as_json(run: Run, results: list[Result]) -> str:
    """Everything: what is in the report, and each run's answer as the generator gave it."""
    whole = {
        "machine": run.machine,
        "servers": run.servers,
        "not_installed": run.not_installed,
        "summary": {result.work.name: _summarised(result) for result in results},
        "measurements": [one.as_dict() for one in run.measurements],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def read(file: Path) -> Run:
    """A run out of the JSON that was written of it."""
    whole = json.loads(file.read_text(encoding="utf-8"))
    measurements = [Measurement(**one) for one in whole["measurements"]]
    return Run(whole["machine"], whole["servers"], whole["not_installed"], measurements)
