"""The campaign: players beside a good client on one server, and the verdict on answers, log, latency and memory."""

import re
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.campaigns.attacks.good_client import GoodClient, Latencies
from bench.campaigns.attacks.victim import Victim
from bench.campaigns.fuzz.tally import Tally, tally_from_json, total
from bench.campaigns.fuzz.target import MARK, SECRETS

PLAYERS = 2
"""Processes that play inputs."""
RESTS = 75.0
"""The most seconds until the memory is that of a server at rest. Identifiers that nobody listens to are kept for 60 s."""
_LEAKS = {
    "a text": re.compile(MARK),
    "a signature or a secureKey": re.compile(r"(?<![0-9a-fA-F-])[0-9a-fA-F]{32,}"),
    "a token": re.compile(r"eyJ[A-Za-z0-9_-]{8,}"),
    **{f"API secret {number}": re.compile(re.escape(secret)) for number, secret in enumerate(SECRETS, 1)},
}


class PlayerEnded(Exception):
    """A player has ended with an error, so that nothing is known of the rest of its inputs."""


@dataclass(frozen=True)
class Part:
    """Inputs to play: `count` of a seed, from number `first` on. `clock`: the Unix time of signatures and tokens."""

    seed: int
    clock: int
    first: int
    count: int
    patient: bool = True


@dataclass(frozen=True)
class Bounds:
    """The most that the inputs may cost others. Times are in seconds, `memory` in bytes.

    `log`: lines in a minute. A refusal is logged once a minute for each account and code, so a slow machine has more lines.
    """

    p99: float = 0.25
    longest: float = 2.0
    turn: float = 0.1
    memory: int = 16_000_000
    log: int = 100


@dataclass
class Verdict:
    """What came of a part. `memory`: the growth of the server at rest, in bytes. `turn`: the CPU time of the longest turn."""

    part: Part
    seconds: float
    tally: Tally
    latencies: Latencies
    turn: float
    memory: int
    log: str = field(repr=False)

    def violations(self, bounds: Bounds | None = None) -> list[str]:
        """The promises that do not hold."""
        bounds = bounds or Bounds()
        found = [f"input {fault.number} ({fault.kind}): {fault.reason}" for fault in self.tally.faults]
        found += [f"the good client met: {error}" for error in self.latencies.errors]
        found += log_faults(self.log)
        lines = self.log.count("\n") / (1 + self.seconds / 60)  # the warm-up takes a fraction of the first minute
        measured = (
            ("the good client's p99", self.latencies.percentile(99), bounds.p99),
            ("the good client's longest wait", self.latencies.percentile(100), bounds.longest),
            ("the longest turn", self.turn, bounds.turn),
            ("growth of the memory at rest", self.memory, bounds.memory),
            ("lines of the log in a minute", lines, bounds.log),
        )
        return found + [
            f"{name}: {value:g}, the bound is {bound:g}" for name, value, bound in measured if value > bound
        ]


def log_faults(log: str) -> list[str]:
    """Say what a log holds that it must not hold: a traceback, a secret, a key, a token or a text."""
    found = ["the log has a traceback"] if "Traceback" in log or "Unhandled" in log else []
    return found + [f"the log has {name}" for name, pattern in _LEAKS.items() if pattern.search(log)]


def run(part: Part, victim: Victim) -> Verdict:
    """Warm the server up, play a part with a good client beside it, and let the server come to rest."""
    warm_up = Part(part.seed, part.clock, part.first, min(part.count // 5, 20_000), patient=False)
    _play(warm_up, victim)  # the same inputs come again below, and their faults with them
    victim.rest(10)
    memory = victim.memory()
    victim.begin()
    began = time.monotonic()
    tally, latencies = _play(part, victim)
    seconds = time.monotonic() - began
    turn = victim.longest_turn()
    growth = _growth_at_rest(victim, memory)
    return Verdict(part, seconds, tally, latencies, turn, growth, victim.log.read_text(errors="replace"))


def _play(part: Part, victim: Victim) -> tuple[Tally, Latencies]:
    port = victim.ports["http"]
    client = GoodClient(port)
    with ExitStack() as stack:
        players = [stack.enter_context(_start(part, number, port)) for number in range(PLAYERS)]
        latencies = Latencies()
        while any(player.poll() is None for player in players) and not latencies.errors:
            slice_ = client.measure(0.5)
            latencies.seconds += slice_.seconds
            latencies.errors += slice_.errors
        outputs = [player.communicate()[0] for player in players]
    client.close()
    if any(player.returncode for player in players):
        raise PlayerEnded("a player ended before its inputs did; its traceback stands above")
    return total(map(tally_from_json, outputs)), latencies


def _start(part: Part, number: int, port: int) -> subprocess.Popen[str]:
    share = (part.seed, part.clock, part.first + number, part.count - number, PLAYERS, port, int(part.patient))
    command = [sys.executable, "-m", "bench.campaigns.fuzz.player", *map(str, share)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - the command is written here


def _growth_at_rest(victim: Victim, before: int) -> int:
    """Return the growth of the memory, as soon as it is within the bound, or after a while."""
    until = time.monotonic() + RESTS
    least = victim.memory() - before
    while least > Bounds.memory and time.monotonic() < until:
        time.sleep(1)
        least = min(least, victim.memory() - before)
    return least
