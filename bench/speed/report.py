"""A run as JSON with everything in it, and as Markdown tables."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed.measurement import Measurement
from bench.speed.servers import SERVERS
from bench.speed.summary import TO_FLOOR, TO_NCHAN, TO_PLAIN, Result, Row, Summary
from bench.speed.workloads import WORKLOADS

_MEDIANS = (
    "Medians of all rounds. x floor and x nchan are ratios to their medians in the same run.\n"
    "x plain is the ratio to the same workload without TLS.\n"
    "bench/README.md describes the workloads and how to read the figures."
)


@dataclass(frozen=True)
class Run:
    """A run: the machine, the versions of the servers, and by title how to install those that were left out."""

    machine: dict[str, str]
    servers: dict[str, str]
    not_installed: dict[str, str]
    measurements: list[Measurement]
    quick: bool = False

    def results(self) -> list[Result]:
        summary = Summary(self.measurements)
        done = {one.work for one in self.measurements}
        return [summary.result(workload) for name, workload in WORKLOADS.items() if name in done]


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _heads_of_ratios(result: Result, number: int) -> list[str]:
    """Return the heads of the ratios that the figure with this number has for any server."""
    values = [row.values[number] for row in result.rows if row.values]
    return [head for head in (TO_FLOOR, TO_NCHAN, TO_PLAIN) if any(head in value.ratios for value in values)]


def _heads(result: Result) -> list[str]:
    heads = []
    for number, figure in enumerate(result.workload.figures):
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


def table_row(cells: list[str]) -> str:
    """Return one row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _table(result: Result) -> list[str]:
    heads = ["server", *_heads(result), "remarks"]
    lines = [table_row(heads), table_row(["---"] + ["---:"] * (len(heads) - 2) + ["---"])]
    for row in result.rows:
        cells = _cells(result, row) or ["-"] * (len(heads) - 2)
        lines.append(table_row([SERVERS[row.server].title, *cells, "; ".join(row.remarks)]))
    return lines


def _section(result: Result) -> list[str]:
    lines = [f"## {result.workload.name}: {result.workload.title}", "", *_table(result), ""]
    if result.others is not None:
        about = "with interrupts and the time that a hypervisor took"
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
    """Return the table of the most important figures: a row for each of them, a column for each server."""
    servers = [name for name in SERVERS if any(result.row(name) for result in results)]
    lines = [table_row(["", *(SERVERS[name].title for name in servers)]), table_row(["---"] + ["---:"] * len(servers))]
    for result in results:
        for number, figure in enumerate(result.workload.figures[: result.workload.overview]):
            head = f"{result.workload.name}: {figure.label}, {figure.unit}"
            lines.append(table_row([head, *(_brief(result, name, number) for name in servers)]))
    return lines


def _listed(facts: dict[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts.items()]


def markdown(run: Run, results: list[Result], drawing: str) -> str:
    """Return the whole report. `drawing` is the name of the chart's file beside it."""
    lines = [
        "# Benchmark",
        "",
        f"![The first figure of each workload, best first]({drawing})",
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
    return {"title": result.workload.title, "others_cpu_pct": result.others, "servers": rows}


def as_json(run: Run, results: list[Result]) -> str:
    """Return everything: the contents of the report, and each answer of the generator."""
    whole = {
        "quick": run.quick,
        "machine": run.machine,
        "servers": run.servers,
        "not_installed": run.not_installed,
        "summary": {result.workload.name: _summarised(result) for result in results},
        "measurements": [one.as_dict() for one in run.measurements],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def read(file: Path) -> Run:
    """Read a run from its JSON. Raises SystemExit if the file is missing."""
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{file} is missing: make bench writes it") from None
    measurements = [Measurement(**one) for one in whole["measurements"]]
    return Run(whole["machine"], whole["servers"], whole["not_installed"], measurements, whole["quick"])
