"""Measure nodes that share a Redis, or the workers of one node: python -m bench.nodes [--workers] [--quick] [--docs].

Writes bench/out/nodes.json or workers.json, and with --docs the table of docs/nodes.md or workers.md.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.nodes import workloads
from bench.nodes.workers import workers, workers_on_one_core
from bench.nodes.workloads import Figures
from bench.rig import load_generator, machine
from bench.rig.console import say
from bench.rig.folders import BUILD, DOCS, OUT
from bench.rig.page_sections import fill_section
from bench.rig.server_process import raise_file_limit

Workload = Callable[[Path, Path], Coroutine[Any, Any, Figures]]
Measured = dict[str, dict[str, list[float]]]
"""One value for each round, by workload and by figure."""


def _workloads(quick: bool) -> dict[str, Workload]:
    less = 5 if quick else 1
    return {
        "pushing, 1 node": lambda bin_, folder: workloads.pushing(bin_, folder, 1, 5 // less),
        "pushing, 2 nodes": lambda bin_, folder: workloads.pushing(bin_, folder, 2, 5 // less),
        "64 in flight, 1 node": lambda bin_, folder: workloads.pushing(bin_, folder, 1, 5 // less, 64),
        "64 in flight, 2 nodes": lambda bin_, folder: workloads.pushing(bin_, folder, 2, 5 // less, 32),
        "latency": lambda bin_, folder: workloads.latency(bin_, folder, 1000 // less),
        "Redis": lambda bin_, folder: workloads.redis_of_pushes(bin_, workloads.made(folder), 1000 // less),
        "a node dies": lambda bin_, folder: workloads.death(bin_, folder, 1000 // less),
        "rest": lambda bin_, folder: workloads.rest(bin_, folder, 10 / less),
    }


def _of_workers(quick: bool) -> dict[str, Workload]:
    less = 5 if quick else 1
    listeners, seconds = 2000 // less, 5 // less
    counts = {"1 worker": 1, "2 workers": 2, "4 workers": 4}
    on_all = {name: _with(workers, count, listeners, seconds) for name, count in counts.items()}
    on_one = {f"{name} on one core": _with(workers_on_one_core, n, listeners, seconds) for name, n in counts.items()}
    return on_all | on_one


def _with(work: Callable[..., Coroutine[Any, Any, Figures]], *arguments: int) -> Workload:
    return lambda programs, folder: work(programs, folder, *arguments)


def _measure(workloads_of: dict[str, Workload], programs: Path, rounds: int) -> Measured:
    measured: Measured = {}
    with tempfile.TemporaryDirectory(prefix="nodes-") as temporary:
        for number in range(rounds):
            for name, workload in workloads_of.items():
                folder = Path(temporary) / f"{number} {name}"
                figures = asyncio.run(workload(programs, folder))
                for figure, value in figures.items():
                    measured.setdefault(name, {}).setdefault(figure, []).append(value)
                shown = "; ".join(f"{figure} {value:,.2f}" for figure, value in figures.items())
                say(f"round {number + 1} {name}: {shown}")
    return measured


def table(measured: Measured) -> str:
    """The medians and ranges of all figures as a Markdown table."""
    lines = ["| | | median | least to most |", "| --- | --- | ---: | ---: |"]
    for workload, figures in measured.items():
        for name, values in figures.items():
            least, median, most = (_shown(value) for value in (min(values), statistics.median(values), max(values)))
            lines.append(f"| {workload} | {name} | {median} | {least} to {most} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def document(facts: dict[str, str], measured: Measured) -> str:
    """The section of docs/nodes.md about a measurement."""
    where = f"{facts['processor']}, {facts['system']}, Linux {facts['kernel']}"
    return f"Measured on {where}, {facts['date']}, everything on this one machine.\n\n{table(measured)}"


def main(arguments: list[str]) -> int:
    """Measure, print the table, and write the result file. Raises SystemExit if a quick run shall go into docs/."""
    parser = argparse.ArgumentParser(prog="bench.nodes", description="Measure nodes that share a Redis.")
    parser.add_argument("--workers", action="store_true", help="measure 1, 2 and 4 workers of one node")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each workload (3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a fifth of everything, to see that it runs")
    parser.add_argument("--docs", action="store_true", help="write the table into its page of docs/ as well")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--out", type=Path, help="file for the result (bench/out/nodes.json, workers.json)")
    options = parser.parse_args(arguments)
    raise_file_limit()
    load_generator.build()
    facts = machine.facts()
    name = "workers" if options.workers else "nodes"
    chosen = (_of_workers if options.workers else _workloads)(options.quick)
    measured = _measure(chosen, options.bin.absolute(), options.rounds or (1 if options.quick else 3))
    text = document(facts, measured)
    say(text)
    out = options.out or OUT / f"{name}.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"machine": facts, "measured": measured, "quick": options.quick}, indent=1))
    say(f"wrote {out}")
    if options.docs:
        page = DOCS / f"{name}.md"
        if options.quick:
            raise SystemExit(f"a quick run must not be quoted: run without --quick to write docs/{page.name}")
        page.write_text(fill_section(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        say(f"wrote {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
