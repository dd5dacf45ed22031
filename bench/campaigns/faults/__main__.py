"""Inflict faults: python -m bench.campaigns.faults [--rounds N] [--only NAMES] [--bin FOLDER]. Ends with 1 on a violation."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.campaigns.faults.catalogue import FAULTS, SHORT_DURATIONS, Durations
from bench.campaigns.faults.rounds import FaultResult, run_all
from bench.rig import machine
from bench.rig.console import say
from bench.rig.folders import BUILD, OUT
from bench.rig.server_process import raise_file_limit

SHOWN = 20
"""Violations of one fault that are printed. The result file has all of them."""
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


def table(results: list[FaultResult]) -> str:
    """The results as a Markdown table, one row for each fault."""
    lines = [f"| fault | {' | '.join(_COLUMNS)} | slowest answer, s |", "| --- |" + " ---: |" * (len(_COLUMNS) + 1)]
    for result in results:
        figures = [f"{result.as_dict()[name]:,}" for name in _COLUMNS]
        lines.append(f"| {result.fault} | {' | '.join(figures)} | {result.slowest_answer:.2f} |")
    return "\n".join(lines)


def _report_round(began: float, result: FaultResult) -> None:
    wrong = f"; {len(result.violations)} violations, {result.violations[-1]}" if result.violations else ""
    say(f"{time.monotonic() - began:.0f} s: {result.fault}, round {result.rounds}: {result.pushes:,} pushes{wrong}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.faults",
        description="Inflict faults on nodes that share a Redis, and check that no push is lost.",
    )
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each fault (20)")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(fault.name for fault in FAULTS)}")
    parser.add_argument("--brief", action="store_true", help="shorten freezes, pauses and cuts")
    parser.add_argument("--crowd", type=int, default=2, help="listeners for each transport (2)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--out", type=Path, default=OUT / "faults.json", help="file for the result")
    parser.add_argument("--keep", type=Path, help="an empty folder in which the logs stay")
    return parser


def main(arguments: list[str]) -> int:
    """Run the campaign, print the table and write the result file. Returns 1 if there was a violation."""
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
        durations = SHORT_DURATIONS if options.brief else Durations()
        twistd = [str(options.bin.absolute() / "twistd")]
        running = run_all(
            twistd,
            {},
            folder,
            options.rounds,
            durations,
            lambda result: _report_round(began, result),
            chosen,
            crowd=options.crowd,
        )
        results = asyncio.run(running)
    say(table(results))
    for result in results:
        for violation in result.violations[:SHOWN]:
            say(f"{result.fault}: {violation}")
    whole = {"machine": machine.facts(), "rows": [result.as_dict() for result in results]}
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(whole, indent=1))
    say(f"wrote {options.out} after {(time.monotonic() - began) / 60:.0f} minutes")
    return int(any(result.violations for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
