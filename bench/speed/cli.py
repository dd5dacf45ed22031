"""The command line: servers, workloads, rounds, and the folder of the result."""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from bench.rig import machine
from bench.rig.console import say
from bench.rig.folders import BUILD, DOCS, OUT
from bench.rig.server_process import raise_file_limit
from bench.speed import chart, documents, measurement, report
from bench.speed.measurement import Measurement
from bench.speed.servers import SERVERS
from bench.speed.servers.server import Certificate, Server
from bench.speed.workloads import WORKLOADS, Workload

Named = TypeVar("Named")

FAILS_AT_MOST = 3
"""Failures in a row after which a server is left out. Each failure may take a minute and a half."""


def _chosen(known: dict[str, Named], names: str, what: str) -> list[Named]:
    """Return the named things in the order of `known`, or all if none is named. Raises SystemExit for unknown names."""
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return [thing for name, thing in known.items() if not wanted or name in wanted]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure Cometify and its peers by turns in one run.")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--servers", default="", help=f"some of {','.join(SERVERS)}")
    parser.add_argument("--works", default="", help=f"some of {','.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each workload (3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the listeners, to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the result (bench/out)")
    parser.add_argument("--docs", action="store_true", help="write the pages of docs/ about it as well")
    parser.add_argument(
        "--parts", action="store_true", help="measure nothing: print the parts of bench/setup that are needed"
    )
    parser.add_argument(
        "--again", type=Path, metavar="JSON", help="measure nothing: write the tables of an earlier run again"
    )
    return parser


def _present(servers: list[Server]) -> tuple[list[Server], dict[str, str]]:
    """Return the installed servers, and by title the command that installs each of the others."""
    missing = {server.title: f"bench/setup {server.setup_part}" for server in servers if not server.installed()}
    for title, how in missing.items():
        say(f"{title} is not installed and is left out; to install it: {how}")
    return [server for server in servers if server.installed()], missing


def _plan(servers: list[Server], workloads: list[Workload], rounds: int) -> Iterator[tuple[int, Workload, Server]]:
    """Yield every measurement: by round, by workload, and the servers by turns.

    Every second round goes through the servers in the opposite order, so that none is favoured.
    """
    for number in range(1, rounds + 1):
        for workload in workloads:
            for server in servers if number % 2 else servers[::-1]:
                if workload.runs_on(server):
                    yield number, workload, server


def _shown(one: Measurement) -> str:
    if not one.answer:
        return f"no answer: {one.failure}"
    figures = WORKLOADS[one.work].figures
    shown = (f"{figure.label} {figure.of(one.answer):,.{figure.digits}f} {figure.unit}" for figure in figures)
    lost = f"; lost {one.answer['lost']:,}" if one.answer["lost"] else ""
    return "; ".join(shown) + lost


def _measure(
    plan: list[tuple[int, Workload, Server]], programs: Path, quick: bool, certificate: Certificate | None
) -> list[Measurement]:
    measurements = []
    # Failures of each server since it last answered.
    failed: Counter[str] = Counter()
    for count, (number, workload, server) in enumerate(plan, 1):
        if failed[server.name] < FAILS_AT_MOST:
            one = measurement.measure(server, workload, number, programs, quick, certificate)
        else:
            one = measurement.left_out(server, workload, number, f"it has failed {FAILS_AT_MOST} times in a row")
        failed[server.name] = 0 if one.answer else failed[server.name] + 1
        measurements.append(one)
        say(f"{count}/{len(plan)} round {number} {workload.name} {server.name}: {_shown(one)}")
    return measurements


def _load(measurements: list[Measurement]) -> str:
    loads = sorted(one.load_average for one in measurements)
    return f"{loads[0]:.2f} to {loads[-1]:.2f}"


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    say(f"wrote {folder / name}")


def _run(options: argparse.Namespace) -> report.Run:
    """Measure the chosen workloads on the chosen servers."""
    programs = options.bin.absolute()
    raise_file_limit()
    measurement.build()
    servers, missing = _present(_chosen(SERVERS, options.servers, "server"))
    workloads = _chosen(WORKLOADS, options.works, "work")
    certificate = measurement.make_certificate()
    if not certificate and any(workload.transport == "tls" for workload in workloads):
        say(
            "the workloads over TLS are left out because OpenSSL's headers are missing; to install them: bench/setup tools"
        )
        workloads = [workload for workload in workloads if workload.transport != "tls"]
    rounds = options.rounds or (1 if options.quick else 3)
    facts = machine.facts() | {"rounds": f"{rounds}{', quick: must not be quoted' if options.quick else ''}"}
    measured = {server.title: server.version(programs) for server in servers}
    for title, version in measured.items():
        say(f"{title}: {version}")
    started = time.monotonic()
    measurements = _measure(list(_plan(servers, workloads, rounds)), programs, options.quick, certificate)
    if not measurements:
        raise SystemExit("nothing to measure: no installed server can run these workloads")
    facts |= {
        "load average before each run": _load(measurements),
        "duration": f"{(time.monotonic() - started) / 60:.0f} minutes",
    }
    return report.Run(facts, measured, missing, measurements, options.quick)


def main(arguments: list[str]) -> int:
    """Measure, and write result.json, result.md and result.svg. Returns 1 if a measurement failed."""
    options = _parser().parse_args(arguments)
    if options.parts:
        say(
            " ".join(
                dict.fromkeys(
                    server.setup_part for server in _chosen(SERVERS, options.servers, "server") if server.setup_part
                )
            )
        )
        return 0
    # sys.exit() unwinds the stack, which ends the servers and generators that were started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = report.read(options.again) if options.again else _run(options)
    results = run.results()
    _write(options.out, "result.json", report.as_json(run, results))
    _write(options.out, "result.md", report.markdown(run, results, "result.svg"))
    _write(options.out, "result.svg", chart.svg(results))
    if options.docs:
        for file in documents.write(DOCS, run, results):
            say(f"wrote {file}")
    return 0 if all(one.answer for one in run.measurements) else 1
