"""Measure fairness: python -m bench.campaigns.fairness [--pushes N] [--bin FOLDER]. Ends with 1 if the flood is felt.

One account floods in several ways. Another one pushes fifty times a second at most, and each push is timed until its
listener has the frame. The time of the wall clock includes everything that the machine does meanwhile, the flooding
process too. The CPU time of the server does not, so that the bound is for that.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from bench.campaigns.fairness.flood import Flood, flooding
from bench.campaigns.fairness.neighbours import Neighbour, Sample, measure
from bench.rig.account import SECRET
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.ports import free_port
from bench.rig.server_process import raise_file_limit, running_server

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
_CONFIG = """\
http = ["tcp:{port}:interface=127.0.0.1"]
websocket = []
admin = "tcp:0:interface=127.0.0.1"
[[account]]
api_key = "quiet"
api_secret = "{secret}"
[[account]]
api_key = "flood"
api_secret = "{secret}"
listeners_per_ip = 100000
"""


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def _line(name: str, samples: list[Sample]) -> str:
    wall, cpu = [sample.wall * 1000 for sample in samples], [sample.cpu * 1000 for sample in samples]
    return (
        f"{name}: wall {statistics.median(wall):.2f} ms, p99 {_percentile(wall, 0.99):.2f}; "
        f"server CPU {statistics.median(cpu):.2f} ms, p99 {_percentile(cpu, 0.99):.2f}"
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
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        port = free_port()
        (Path(folder) / "cometify.toml").write_text(_CONFIG.format(port=port, secret=SECRET))
        command = [str(options.bin.absolute() / "twistd"), "-n", "--pidfile=", "cometify"]
        for name, flood in FLOODS.items():
            with running_server(command, {}, Path(folder), (port,)) as pid:
                quiet, flooder = Neighbour(port, "quiet"), Neighbour(port, "flood")
                if flood is None:
                    samples = measure(quiet, pid, options.pushes, pause=0.02)
                else:
                    with flooding(flooder, flood):
                        samples = measure(quiet, pid, options.pushes, pause=0.02)
            say(_line(name, samples))
            felt = felt or _percentile([sample.cpu for sample in samples], 0.99) > MOST
    return int(felt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
