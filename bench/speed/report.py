"""A run in words: the JSON with everything in it, and the Markdown tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.measurement import Measurement
from bench.speed.servers import SERVERS
from bench.speed.summary import TO_FLOOR, TO_NCHAN, TO_PLAIN, Result, Row, Summary
from bench.speed.workloads import WORKS

_MEDIANS = (
    "Medians of all rounds. x floor and x nchan are ratios to their medians in the same run.\n"
    "x plain is the ratio to the same work without TLS. bench/README.md describes the works and how to read the figures."
)


@dataclass(frozen=True)
class Run:
    """What was measured: the machine, the versions of the servers, how to install those that were left out."""

    machine: dict[str, str]
    servers: dict[str, str]
    not_installed: dict[str, str]
    measurements: list[Measurement]
    quick: bool = False

    def results(self) -> list[Result]:
        summary = Summary(self.measurements)
        done = {one.work for one in self.measurements}
        return [summary.result(work) for name, work in WORKS.items() if name in done]


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _heads_of_ratios(result: Result, number: int) -> list[str]:
    """The ratios that the figure with this number has for any server."""
    values = [row.values[number] for row in result.rows if row.values]
    return [head for head in (TO_FLOOR, TO_NCHAN, TO_PLAIN) if any(head in value.ratios for value in values)]


def _heads(result: Result) -> list[str]:
    heads = []
    for number, figure in enumerate(result.work.figures):
        heads.append(f"{figure.label}, {figure.unit}")
        heads += ["least to most"] if number == 0 else []
        heads += _heads_of_ratios(result, number)
    return heads


def _cells(result: Result, row: Row) -> list[str]:
    cells = []
    for number, value in enumerate(row.values):
        median, least, most = (_number(one, value.figure.digits) for one in (value.median, value.least, value.most))
        cells += [f"**{median}**", f"{least} to {most}"] if number == 0 else [median]
        ratios = (value.ratios.get(head) for head in _heads_of_ratios(result, number))
        cells += ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    return cells


def line(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def _table(result: Result) -> list[str]:
    heads = ["server", *_heads(result), "remarks"]
    lines = [line(heads), line(["---"] + ["---:"] * (len(heads) - 2) + ["---"])]
    for row in result.rows:
        cells = _cells(result, row) or ["-"] * (len(heads) - 2)
        lines.append(line([SERVERS[row.server].title, *cells, "; ".join(row.remarks)]))
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
    ratio = f" ({value.ratios[TO_NCHAN]:.2f})" if TO_NCHAN in value.ratios else ""
    return f"{_number(value.median, value.figure.digits)}{ratio}"


def _overview(results: list[Result]) -> list[str]:
    """The figures that matter most: a line for each of them, a column for each server."""
    servers = [name for name in SERVERS if any(result.row(name) for result in results)]
    lines = [line(["", *(SERVERS[name].title for name in servers)]), line(["---"] + ["---:"] * len(servers))]
    for result in results:
        for number, figure in enumerate(result.work.figures[: result.work.overview]):
            head = f"{result.work.name}: {figure.label}, {figure.unit}"
            lines.append(line([head, *(_brief(result, name, number) for name in servers)]))
    return lines


def _listed(facts: dict[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts.items()]


def markdown(run: Run, results: list[Result], drawing: str) -> str:
    """The whole report. `drawing`: the chart's file, beside it."""
    lines = [
        "# Benchmark",
        "",
        f"![The first figure of each work, best first]({drawing})",
        "",
        *_listed(run.machine),
        "",
        "Servers:",
        "",
        *_listed(run.servers),
    ]
    lines += [f"- {name}: not installed, left out; {how}" for name, how in run.not_installed.items()]
    lines += ["", _MEDIANS, ""]
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
        "quick": run.quick,
        "machine": run.machine,
        "servers": run.servers,
        "not_installed": run.not_installed,
        "summary": {result.work.name: _summarised(result) for result in results},
        "measurements": [one.as_dict() for one in run.measurements],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def read(file: Path) -> Run:
    """A run out of the JSON that was written of it. Raises SystemExit where there is none."""
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{file} is missing: make bench writes it") from None
    measurements = [Measurement(**one) for one in whole["measurements"]]
    return Run(whole["machine"], whole["servers"], whole["not_installed"], measurements, whole["quick"])
