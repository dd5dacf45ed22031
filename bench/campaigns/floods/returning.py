"""Thousands of listeners come at once: python -m bench.campaigns.floods.returning [--listeners N]. Ends with 1 above a bound.

Two good clients of another account push meanwhile, each to a listener of its own that was there before. One keeps its
connection, as a program does. The other makes a connection for each push, as a page of PHP does.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.campaigns.attacks.good_client import GoodClient, Latencies
from bench.campaigns.attacks.victim import Victim, running_victim
from bench.campaigns.fairness.neighbours import cpu_seconds
from bench.campaigns.floods.leaving import holding_listeners, wait_for_listeners
from bench.campaigns.floods.operator import Operator
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.server_process import raise_file_limit

LISTENERS = 20_000
MOST_P99 = 0.020
"""The most seconds from a push to its frame, at the 99th percentile."""
SETTINGS = "account_metrics = true\nconnections_per_ip = 0\n"
ACCOUNT_LINES = "listeners_per_ip = 100000\n"
_JOINS_WITHIN = 240.0
_SLICE = 0.3
_LOOK_EVERY = 2.0


@dataclass
class Returned:
    """The arrival of many. `took`: seconds until all were there. The rest are the times of the good clients meanwhile.

    `kept`: on one connection. `fresh`: on a connection for each push.
    """

    listeners: int
    took: float
    kept: Latencies
    fresh: Latencies

    def violations(self, slack: float = 1.0) -> list[str]:
        """Everything that must not be. `slack` multiplies the bound.

        The bound is for the time of the clock, or for the server's processor time where that is shorter, because other
        processes have the processors too: those that come, above all.
        """
        found = []
        for name, latencies in (("kept", self.kept), ("fresh", self.fresh)):
            found += [f"{name}: {error}" for error in latencies.errors]
            p99 = min(latencies.percentile(99), latencies.cpu_percentile(99))
            if p99 > MOST_P99 * slack:
                found.append(f"{name}: p99 {p99 * 1e3:.1f} ms, the bound is {MOST_P99 * slack * 1e3:.0f} ms")
        return found


class _Meanwhile:
    """Clients that push until they are told to stop, each in a thread."""

    def __init__(self, clients: Iterable[GoodClient], pid: int) -> None:
        self._over = threading.Event()
        self._pid = pid
        self._found = [(client, Latencies()) for client in clients]
        self._threads = [threading.Thread(target=self._push, args=found, daemon=True) for found in self._found]
        for thread in self._threads:
            thread.start()

    def _push(self, client: GoodClient, found: Latencies) -> None:
        while not (self._over.is_set() or found.errors):
            part = client.measure(_SLICE, lambda: cpu_seconds(self._pid))
            found.seconds += part.seconds
            found.cpu += part.cpu
            found.errors += part.errors

    def stop(self) -> list[Latencies]:
        """Stop, and return what was measured."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return [found for _client, found in self._found]


def come_at_once(victim: Victim, number: int) -> Returned:
    """Let so many listeners join as fast as they can. Raises SystemExit if they are not there in time."""
    port = victim.ports["http"]
    operator = Operator(victim.ports["admin"], victim.log)
    clients = [GoodClient(port), GoodClient(port, keeps=False)]
    began = time.monotonic()
    with holding_listeners(port, number):
        meanwhile = _Meanwhile(clients, victim.pid)
        time.sleep(_LOOK_EVERY)
        wait_for_listeners(operator, number, _JOINS_WITHIN, _LOOK_EVERY)
        took = time.monotonic() - began
        kept, fresh = meanwhile.stop()
    for client in clients:
        client.close()
    return Returned(number, took, kept, fresh)


def main(arguments: list[str]) -> int:
    """Let the listeners come. Returns 1 if somebody else feels it."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.floods.returning", description="Let thousands of listeners come in the same moment."
    )
    parser.add_argument("--listeners", type=int, default=LISTENERS, help=f"how many come ({LISTENERS:,})")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit(options.listeners)
    twistd = [str(options.bin.absolute() / "twistd")]
    with (
        tempfile.TemporaryDirectory(prefix="returning-") as name,
        running_victim(Path(name), twistd, settings=SETTINGS, account_lines=ACCOUNT_LINES) as victim,
    ):
        returned = come_at_once(victim, options.listeners)
    say(f"{returned.listeners:,} were there after {returned.took:.1f} s")
    for how, latencies in (("a kept connection", returned.kept), ("a connection each", returned.fresh)):
        clock = ", ".join(f"{name} {latencies.percentile(at) * 1e3:.1f} ms" for name, at in _SHOWN)
        cpu = ", ".join(f"{name} {latencies.cpu_percentile(at) * 1e3:.1f} ms" for name, at in _SHOWN)
        say(f"pushes on {how}: {clock}; CPU of the server: {cpu}; {len(latencies.seconds)} pushes")
    for line in returned.violations():
        say(line)
    return int(bool(returned.violations()))


_SHOWN = (("p50", 50), ("p99", 99), ("longest", 100))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
