"""Inflict faults: python -m bench.campaigns.faults [--rounds N] [--only NAMES] [--bin FOLDER]. Ends with 1 on a violation."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.campaigns.faults.catalogue import FAULTS, SHORT, Lengths
from bench.campaigns.faults.rounds import Row, run_all
from bench.rig import machine
from bench.rig.server_process import raise_file_limit
from bench.speed.cli import say
from bench.speed.servers.server import BUILD, HERE

SHOWN = 20
"""Violations of a fault that are printed; the file has all."""
_COLUMNS = (
    "rounds",
    "pushes",
    "deliveries",
    "connections",
    "retries",
    "losses",
    "doubles",
    "disorders",
    "gaps",
    "other",
)


def table(rows: list[Row]) -> str:
    """What came of each fault, in Markdown."""
    lines = [f"| fault | {' | '.join(_COLUMNS)} | slowest answer, s |", "| --- |" + " ---: |" * (len(_COLUMNS) + 1)]
    for row in rows:
        figures = [f"{row.as_dict()[name]:,}" for name in _COLUMNS]
        lines.append(f"| {row.fault} | {' | '.join(figures)} | {row.slowest_answer:.2f} |")
    return "\n".join(lines)


def _told(began: float, row: Row) -> None:
    wrong = f"; {len(row.violations)} violations, {row.violations[-1]}" if row.violations else ""
    say(f"{time.monotonic() - began:.0f} s: {row.fault}, round {row.rounds}: {row.pushes:,} pushes{wrong}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.faults",
        description="Inflict faults on nodes that share a Redis, and see that nothing is lost.",
    )
    parser.add_argument("--rounds", type=int, default=20, help="of each fault (20)")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(fault.name for fault in FAULTS)}")
    parser.add_argument("--brief", action="store_true", help="what has a length is shorter than it is promised for")
    parser.add_argument("--crowd", type=int, default=2, help="listeners for each transport (2)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--out", type=Path, default=HERE / "out/faults.json", help="where the result goes")
    parser.add_argument("--keep", type=Path, help="an empty folder that keeps the logs")
    return parser


def main(arguments: list[str]) -> int:
    """Run, and tell."""
    options = _parser().parse_args(arguments)
    chosen = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = set(chosen) - {fault.name for fault in FAULTS}
    if unknown:
        raise SystemExit(f"no such fault: {', '.join(sorted(unknown))}")
    raise_file_limit()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        lengths = SHORT if options.brief else Lengths()
        twistd = [str(options.bin.absolute() / "twistd")]
        running = run_all(
            twistd, {}, folder, options.rounds, lengths, lambda row: _told(began, row), chosen, crowd=options.crowd
        )
        rows = asyncio.run(running)
    say(table(rows))
    for row in rows:
        for violation in row.violations[:SHOWN]:
            say(f"{row.fault}: {violation}")
    result = {"machine": machine.facts(), "rows": [row.as_dict() for row in rows]}
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1))
    say(f"wrote {options.out}, after {(time.monotonic() - began) / 60:.0f} minutes")
    return int(any(row.violations for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
