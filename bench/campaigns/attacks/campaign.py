"""Attacks, one after the other on one server, and the cost of each."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bench.campaigns.attacks.attack import Attack
from bench.campaigns.attacks.good_client import GoodClient
from bench.campaigns.attacks.victim import Victim

RESTS = 10.0
"""The longest rest between two attacks, in seconds."""


@dataclass
class Cost:
    """The cost of one attack. Times are in seconds, sizes in bytes. `cpu` is the server's share of one processor."""

    attack: Attack
    sent: int
    received: int
    connections: int
    cpu: float
    memory: int
    turn: float
    p50: float
    p99: float
    errors: list[str] = field(default_factory=list)

    def violations(self, slack: float = 1.0) -> list[str]:
        """The bounds that the attack exceeds. `slack` multiplies the bounds of times."""
        bounds = self.attack.bounds
        found = [f"the good client met: {error}" for error in self.errors]
        if self.p99 > bounds.p99 * slack:
            found.append(f"p99 {self.p99 * 1e3:.1f} ms, the bound is {bounds.p99 * slack * 1e3:.0f} ms")
        if self.memory > bounds.memory:
            found.append(f"memory +{self.memory / 1e6:.1f} MB, the bound is {bounds.memory / 1e6:.0f} MB")
        if self.turn > bounds.turn * slack:
            found.append(f"a turn of {self.turn * 1e3:.1f} ms, the bound is {bounds.turn * slack * 1e3:.0f} ms")
        return found


def carry_out(attack: Attack, victim: Victim, seconds: float) -> Cost:
    """Attack the server for so many seconds, with a good client beside it."""
    client = GoodClient(victim.ports["http"])
    victim.begin()
    memory, cpu = victim.memory(), victim.cpu_seconds()
    port = victim.ports[attack.port]
    command = [sys.executable, "-m", "bench.campaigns.attacks.attacker", attack.name, str(port), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as attacker:  # noqa: S603 - the command is written here
        latencies = client.measure(seconds)
        output, _ = attacker.communicate(timeout=seconds + 30)
    cost = Cost(
        attack,
        **json.loads(output),
        cpu=(victim.cpu_seconds() - cpu) / seconds,
        memory=victim.peak_memory() - memory,
        turn=victim.longest_turn(),
        p50=latencies.percentile(50),
        p99=latencies.percentile(99),
        errors=latencies.errors,
    )
    client.close()
    return cost


def run(attacks: Iterable[Attack], victim: Victim, seconds: float) -> Iterator[Cost]:
    """Carry out the attacks one after the other. The server rests between them."""
    for attack in attacks:
        yield carry_out(attack, victim, seconds)
        victim.rest(RESTS)
