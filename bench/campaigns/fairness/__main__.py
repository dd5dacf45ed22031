"""Measure fairness: python -m bench.campaigns.fairness [--pushes N] [--bin FOLDER]. Ends with 1 if the flood is felt.

One account floods in several ways. Another one pushes fifty times a second at most, and each push is timed until its
listener has the frame. The time of the wall clock includes everything that the machine does meanwhile, the flooding
process too. The CPU time of the server does not, so that the bound is for that.
"""

import argparse
import statistics
import sys
from pathlib import Path

from bench.campaigns.fairness.flood import Flood
from bench.campaigns.fairness.neighbours import Sample
from bench.campaigns.fairness.two_accounts import percentile, samples_under
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.server_process import raise_file_limit

MOST = 0.020
"""Seconds of the server's CPU from a push to its frame, at the 99th percentile."""
FLOODS = {
    "no flood": None,
    "10 connections": Flood(),
    "10 connections, 64 requests under way on each": Flood(depth=64),
    "10 connections, 1,000 listeners on 1 identifier": Flood(listeners=1000),
    "10 connections, 1,000 listeners on 10 identifiers": Flood(listeners=1000, identifiers=10),
    "100 connections, 64 requests under way on each": Flood(connections=100, depth=64, identifiers=100, listeners=100),
}


def _line(name: str, samples: list[Sample]) -> str:
    wall, cpu = [sample.wall * 1000 for sample in samples], [sample.cpu * 1000 for sample in samples]
    return (
        f"{name}: wall {statistics.median(wall):.2f} ms, p99 {percentile(wall, 0.99):.2f}; "
        f"server CPU {statistics.median(cpu):.2f} ms, p99 {percentile(cpu, 0.99):.2f}"
    )


def main(arguments: list[str]) -> int:
    """Measure all floods. Returns 1 if one of them is felt."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.fairness", description="Check that an account that floods holds up no other."
    )
    parser.add_argument("--pushes", type=int, default=500, help="pushes that are timed under each flood (500)")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit()
    felt = False
    for name, flood in FLOODS.items():
        samples = samples_under(flood, [str(options.bin.absolute() / "twistd")], options.pushes)
        say(_line(name, samples))
        felt = felt or percentile([sample.cpu for sample in samples], 0.99) > MOST
    return int(felt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
