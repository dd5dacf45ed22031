"""Two forms of Cometify by turns: python -m bench.campaigns.compare [--against BIN]. Ends with 1 if a measurement failed.

Without `--against` the other form is the same build while its operator watches: metrics of accounts are on, and the console
is open.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.campaigns.compare.operator import WATCHED
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.server_process import raise_file_limit
from bench.speed import measurement
from bench.speed.measurement import Measurement
from bench.speed.servers.cometify import COMETIFY, command
from bench.speed.servers.server import Workspace
from bench.speed.workloads import WORKLOADS, Workload

_USUAL = "fanout-1000,fanout-5000,saturation-8,publish-1,publish-16,poll-1000,idle-10000"


def _command_without(unknown: list[str], workspace: Workspace) -> list[str]:
    """The command of Cometify, with a configuration that lacks these settings."""
    made = command(workspace)
    config = Path(made[-1])
    lines = config.read_text().splitlines()
    config.write_text("\n".join(line for line in lines if line.split(" ")[0] not in unknown) + "\n")
    return made


def _row(workload: Workload, first: list[Measurement], second: list[Measurement]) -> list[str]:
    """The medians of each figure, and the median of the ratios of the rounds with the least and the most of them."""
    rows = []
    for figure in workload.figures:
        values = [[figure.of(one.answer) for one in measured if one.answer] for measured in (first, second)]
        if not all(values):
            continue
        medians = [statistics.median(each) for each in values]
        ratios = [after / before for before, after in zip(*values, strict=False) if before]
        if not ratios:
            continue
        shown = " | ".join(f"{median:,.{max(figure.digits, 2)}f}" for median in medians)
        spread = f"{statistics.median(ratios):.3f} | {min(ratios):.3f} to {max(ratios):.3f}"
        rows.append(f"| {workload.name} | {figure.label}, {figure.unit} | {shown} | {spread} |")
    return rows


def main(arguments: list[str]) -> int:
    """Measure and print the table. Returns 1 if a measurement failed."""
    parser = argparse.ArgumentParser(prog="bench.campaigns.compare", description="Compare two forms of Cometify.")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    parser.add_argument("--against", type=Path, help="such a folder of another build")
    parser.add_argument(
        "--unknown", default="", help="settings that the other build does not know: their lines are left out for it"
    )
    parser.add_argument("--works", default=_USUAL, help=f"some of {','.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each workload (5)")
    parser.add_argument("--quick", action="store_true", help="a fifth of the listeners, to see that it runs")
    options = parser.parse_args(arguments)
    raise_file_limit()
    measurement.build()
    usual = options.bin.absolute()
    # The other build is the first of two, so that a ratio above 1 is always what the second costs.
    other = replace(COMETIFY, command=partial(_command_without, options.unknown.split(",")))
    forms = (
        [(other, options.against.absolute()), (COMETIFY, usual)]
        if options.against
        else [(COMETIFY, usual), (WATCHED, usual)]
    )
    certificate = measurement.make_certificate()
    table = ["| workload | figure | first | second | ratio | least and most |", "| --- | --- | --- | --- | --- | --- |"]
    failures = 0
    for workload in (WORKLOADS[name] for name in options.works.split(",")):
        measured: tuple[list[Measurement], list[Measurement]] = ([], [])
        for number in range(1, options.rounds + 1):
            # Every second round begins with the other form, so that none is favoured.
            for at in (0, 1) if number % 2 else (1, 0):
                server, programs = forms[at]
                one = measurement.measure(server, workload, number, programs, options.quick, certificate)
                measured[at].append(one)
                if one.failure:
                    failures += 1
                    say(f"FAILED: {workload.name}, {server.name}: {one.failure}")
        rows = _row(workload, *measured)
        table += rows
        for row in rows:
            say(row)
    say("\n".join(table))
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
