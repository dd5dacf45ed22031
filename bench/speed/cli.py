"""The command line: which servers and works, how often, and where the result goes."""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from bench.rig import machine
from bench.rig.server_process import raise_file_limit
from bench.speed import chart, documents, report
from bench.speed import measurement as generator
from bench.speed.measurement import Measurement
from bench.speed.servers import SERVERS
from bench.speed.servers.server import BUILD, HERE, Certificate, Server
from bench.speed.workloads import WORKS, Work

Named = TypeVar("Named")

FAILS_AT_MOST = 3
"""A server that fails so often one after the other is left out from there on: each time may take a minute and a half."""


def say(words: str) -> None:
    """Print a line now."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _chosen(known: dict[str, Named], names: str, what: str) -> list[Named]:
    """What is named, in the order that is known; everything where nothing is."""
    wanted = [name for name in names.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"no such {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return [thing for name, thing in known.items() if not wanted or name in wanted]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure Cometify and its peers by turns in one run.")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--servers", default="", help=f"some of {','.join(SERVERS)}")
    parser.add_argument("--works", default="", help=f"some of {','.join(WORKS)}")
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (3; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the listeners: to see that it works")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for the result (bench/out)")
    parser.add_argument("--docs", action="store_true", help="write what docs/ has of it as well")
    parser.add_argument(
        "--parts", action="store_true", help="measure nothing: name the parts of bench/setup that are needed"
    )
    parser.add_argument("--again", type=Path, metavar="JSON", help="measure nothing: write the result of a run anew")
    return parser


def _present(servers: list[Server]) -> tuple[list[Server], dict[str, str]]:
    """The servers that are installed, and how to install the others."""
    missing = {server.title: f"bench/setup {server.part}" for server in servers if not server.installed()}
    for title, how in missing.items():
        say(f"{title} is not installed and is left out: {how}")
    return [server for server in servers if server.installed()], missing


def _plan(servers: list[Server], works: list[Work], rounds: int) -> Iterator[tuple[int, Work, Server]]:
    """Round for round, work for work, the servers by turns; every second round the other way, so that none is favoured."""
    for number in range(1, rounds + 1):
        for work in works:
            for server in servers if number % 2 else servers[::-1]:
                if work.takes(server):
                    yield number, work, server


def _shown(one: Measurement) -> str:
    if not one.answer:
        return f"no answer: {one.failure}"
    figures = WORKS[one.work].figures
    shown = (f"{figure.label} {figure.of(one.answer):,.{figure.digits}f} {figure.unit}" for figure in figures)
    lost = f"; lost {one.answer['lost']:,}" if one.answer["lost"] else ""
    return "; ".join(shown) + lost


def _measure(
    plan: list[tuple[int, Work, Server]], programs: Path, quick: bool, certified: Certificate | None
) -> list[Measurement]:
    measurements = []
    failed: Counter[str] = Counter()  # how often each has failed since it last answered
    for count, (number, work, server) in enumerate(plan, 1):
        if failed[server.name] < FAILS_AT_MOST:
            one = generator.measure(server, work, number, programs, quick, certified)
        else:
            one = generator.left_out(server, work, number, f"it has failed {FAILS_AT_MOST} times one after the other")
        failed[server.name] = 0 if one.answer else failed[server.name] + 1
        measurements.append(one)
        say(f"{count}/{len(plan)} round {number} {work.name} {server.name}: {_shown(one)}")
    return measurements


def _load(measurements: list[Measurement]) -> str:
    loads = sorted(one.load_average for one in measurements)
    return f"{loads[0]:.2f} to {loads[-1]:.2f}"


def _write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    say(f"wrote {folder / name}")


def _run(options: argparse.Namespace) -> report.Run:
    """Measure what is asked for."""
    programs = options.bin.absolute()
    raise_file_limit()
    generator.build()
    servers, missing = _present(_chosen(SERVERS, options.servers, "server"))
    works = _chosen(WORKS, options.works, "work")
    certified = generator.certificate()
    if not certified and any(work.way == "tls" for work in works):
        say("the works over TLS are left out, for OpenSSL's headers are missing: bench/setup tools")
        works = [work for work in works if work.way != "tls"]
    rounds = options.rounds or (1 if options.quick else 3)
    facts = machine.facts() | {"rounds": f"{rounds}{', quick: not to be quoted' if options.quick else ''}"}
    measured = {server.title: server.version(programs) for server in servers}
    for title, version in measured.items():
        say(f"{title}: {version}")
    started = time.monotonic()
    measurements = _measure(list(_plan(servers, works, rounds)), programs, options.quick, certified)
    if not measurements:
        raise SystemExit("nothing to measure: no server that is installed has a part in these works")
    facts |= {
        "load average before each run": _load(measurements),
        "duration": f"{(time.monotonic() - started) / 60:.0f} minutes",
    }
    return report.Run(facts, measured, missing, measurements, options.quick)


def main(arguments: list[str]) -> int:
    """Measure, and write result.json, result.md and result.svg."""
    options = _parser().parse_args(arguments)
    if options.parts:
        say(
            " ".join(
                dict.fromkeys(server.part for server in _chosen(SERVERS, options.servers, "server") if server.part)
            )
        )
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    run = report.read(options.again) if options.again else _run(options)
    results = run.results()
    _write(options.out, "result.json", report.as_json(run, results))
    _write(options.out, "result.md", report.markdown(run, results, "result.svg"))
    _write(options.out, "result.svg", chart.svg(results))
    if options.docs:
        for file in documents.write(HERE.parent / "docs", run, results):
            say(f"wrote {file}")
    return 0 if all(one.answer for one in run.measurements) else 1
