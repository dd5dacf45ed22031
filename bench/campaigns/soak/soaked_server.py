"""A server under soak: cycles of load and rest, with a sample of the server after each.

Its engine's clock is sped up, so that ten minutes pass within a second.
"""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.campaigns.soak.growth import Sample
from bench.campaigns.soak.traffic import Traffic
from bench.rig.account import KEY, SECRET
from bench.rig.ports import free_port
from bench.rig.server_process import running_server

SPEEDUP = 600
"""Seconds of the engine in one second. Pushes kept for ten minutes go after one second, floors kept for a day after 144."""
REST = 11.0
"""Seconds of rest after which a server has forgotten all that it may. A connection that closes has ten seconds, and the
engine looks for expired entries every five.
"""
_SERVER_SCRIPT = Path(__file__).with_name("fast_clock_server.py")
_CONFIG = """\
http = ["tcp:{port}:interface=127.0.0.1"]
websocket = []
admin = "tcp:0:interface=127.0.0.1"
heartbeat = 1
drain = 1
connections_per_ip = 0

[[account]]
api_key = "{key}"
api_secret = "{secret}"
listeners_per_ip = 100000
buffer_pushes = 20
keep_bytes = 2000000
"""


@dataclass(frozen=True)
class SoakedServer:
    """A running server and its traffic. `samples` is the file that the server appends its samples to."""

    pid: int
    traffic: Traffic
    samples: Path

    def load(self, connections: int) -> None:
        """Load the server with so many connections of listeners."""
        self.traffic.counts.clear()
        asyncio.run(self.traffic.run(connections))

    def run_cycle(self, connections: int) -> tuple[Sample, Counter[str]]:
        """Load the server and let it rest. Returns a sample of it at rest, and the counts of its traffic."""
        self.load(connections)
        time.sleep(REST)
        asyncio.run(self.traffic.push_once())
        return self._take_sample(), self.traffic.counts.copy()

    def _take_sample(self) -> Sample:
        before = self.samples.read_text().count("\n")
        os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + 10
        while self.samples.read_text().count("\n") == before:
            if time.monotonic() > until:
                raise TimeoutError("the server took no sample within ten seconds")
            time.sleep(0.02)
        return Sample(**json.loads(self.samples.read_text().splitlines()[-1]))


@contextmanager
def soaked_server(
    folder: Path, twistd: list[str], identifiers: int, environment: dict[str, str] | None = None
) -> Iterator[SoakedServer]:
    """Run a server during the block. Its log is `server.log` in the folder; its traffic knows so many identifiers."""
    port = free_port()
    config, samples = folder / "cometify.toml", folder / "samples"
    config.write_text(_CONFIG.format(port=port, key=KEY, secret=SECRET))
    samples.touch()
    variables = {"SOAK_CONFIG": str(config), "SOAK_SPEEDUP": str(SPEEDUP), "SOAK_SAMPLES": str(samples)}
    command = [*twistd, "-n", "--pidfile=", "-y", str(_SERVER_SCRIPT)]
    with running_server(command, variables | (environment or {}), folder, (port,)) as pid:
        yield SoakedServer(pid, Traffic(port, seed=1, identifiers=identifiers), samples)
