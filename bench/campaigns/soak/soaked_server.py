"""Cycles of work and rest for a server whose ten minutes pass sooner, with a sample of it after each."""

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
from bench.campaigns.soak.traffic import Visitors
from bench.rig.ports import free_port
from bench.rig.server_process import running
from bench.speed.servers.cometify import KEY, SECRET

HURRY = 600
"""The engine's seconds in one: what is kept for ten minutes is kept for one second, floors that last a day 144."""
REST = 11.0
"""Seconds until a server has forgotten what it may: connections that are closing have ten, and it looks every five."""
_HURRIED = Path(__file__).with_name("fast_clock_server.py")
_CONFIG = """\
http = ["tcp:{port}:interface=127.0.0.1"]
websocket = []
admin = "tcp:0:interface=127.0.0.1"
heartbeat = 1
drain = 1

[[account]]
api_key = "{key}"
api_secret = "{secret}"
listeners_per_ip = 100000
buffer_pushes = 20
keep_bytes = 2000000
"""


@dataclass(frozen=True)
class Soaked:
    """A server that runs, and those who visit it."""

    pid: int
    visitors: Visitors
    samples: Path

    def work(self, visits: int) -> None:
        """So many visits."""
        self.visitors.done.clear()
        asyncio.run(self.visitors.busy(visits))

    def cycle(self, visits: int) -> tuple[Sample, Counter[str]]:
        """So many visits, and rest. Returns what the server then has, and what was done."""
        self.work(visits)
        time.sleep(REST)
        asyncio.run(self.visitors.push_once())
        return self._sample(), self.visitors.done.copy()

    def _sample(self) -> Sample:
        before = self.samples.read_text().count("\n")
        os.kill(self.pid, signal.SIGUSR1)
        until = time.monotonic() + 10
        while self.samples.read_text().count("\n") == before:
            if time.monotonic() > until:
                raise TimeoutError("the server does not answer")
            time.sleep(0.02)
        return Sample(**json.loads(self.samples.read_text().splitlines()[-1]))


@contextmanager
def soaked(folder: Path, twistd: list[str], names: int, environment: dict[str, str] | None = None) -> Iterator[Soaked]:
    """A server in this folder, where server.log is then. `names`: how many identifiers its visitors know."""
    port = free_port()
    config, samples = folder / "cometify.toml", folder / "samples"
    config.write_text(_CONFIG.format(port=port, key=KEY, secret=SECRET))
    samples.touch()
    set_up = {"SOAK_CONFIG": str(config), "SOAK_HURRY": str(HURRY), "SOAK_SAMPLES": str(samples)}
    command = [*twistd, "-n", "--pidfile=", "-y", str(_HURRIED)]
    with running(command, set_up | (environment or {}), folder, (port,)) as pid:
        yield Soaked(pid, Visitors(port, seed=1, names=names), samples)
