"""One flood on a server of its own, with a good client of another account beside it."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.campaigns.attacks import good_client
from bench.campaigns.attacks.good_client import GoodClient
from bench.campaigns.attacks.victim import Victim, running_victim
from bench.campaigns.fairness.neighbours import cpu_seconds
from bench.campaigns.floods.catalogue import Flood
from bench.campaigns.floods.memory_formula import most_memory
from bench.campaigns.floods.operator import Operator
from bench.rig.account import KEY
from bench.rig.redis import info_now, running_redis

_LOOK = 1.0
"""Seconds for which the flood goes on, so that the operator sees it."""
ENGINES = ("memory", "redis")
_KEEP_BYTES = 256 << 20
"""The default of `keep_bytes`."""
_QUOTAS = {"pushes_per_second": 100, "keep_bytes": 16 << 20, "listeners": 500}
"""The quotas that docs/hosting.md recommends, with fewer listeners."""


@dataclass
class Felt:
    """The harm of a flood, and whether its culprit was named. Times are in seconds, sizes in bytes.

    `sent`: bytes a second. `cpu`: the server's share of one processor. `cpu_p99`: see `Flood.most_p99`.
    `pushes`, `listeners`, `refused`: those of the flooding account. `memory`: the growth of the server at its peak. `redis`:
    the peak of Redis, and `redis_bound` its formula; both are 0 without Redis. `metric`: the flooding account's figure beside
    the good client's. `log`: None if nothing was refused, so that the log has nothing to tell.
    """

    flood: Flood
    engine: str
    has_quotas: bool
    sent: float = 0.0
    connections: int = 0
    p50: float = 0.0
    p99: float = 0.0
    cpu_p99: float = 0.0
    cpu: float = 0.0
    turn: float = 0.0
    memory: int = 0
    errors: list[str] = field(default_factory=list)
    pushes: int = 0
    listeners: int = 0
    refused: int = 0
    redis: int = 0
    redis_bound: float = 0.0
    metric: tuple[float, float] = (0.0, 0.0)
    console: bool = False
    codes: list[str] = field(default_factory=list)
    log: bool | None = None

    def violations(self, slack: float = 1.0) -> list[str]:
        """Everything that must not be. `slack` multiplies the bound of the latency."""
        found = [f"the good client met: {error}" for error in self.errors]
        most = self.flood.most_p99 * slack
        if self.cpu_p99 > most:
            found.append(f"p99 of the CPU {self.cpu_p99 * 1e3:.1f} ms, the bound is {most * 1e3:.0f} ms")
        if self.redis > self.redis_bound:
            found.append(f"Redis takes {self.redis / 1e6:.0f} MB, the formula gives {self.redis_bound / 1e6:.0f} MB")
        flooding, good = self.metric
        if flooding <= good:
            found.append(f"cometify_account_{self.flood.figure} is {flooding:.0f}, and {good:.0f} of the good account")
        if not self.console:
            found.append("the console does not name the flooding account")
        if self.refused and not (self.log and self.codes):
            found.append(f"{self.refused} refusals are not told: in the log {self.log}, in the console {self.codes}")
        return found


def flood_once(
    flood: Flood,
    engine: str,
    folder: Path,
    twistd: list[str],
    seconds: float,
    environment: dict[str, str] | None = None,
    *,
    has_quotas: bool,
) -> Felt:
    """Start a server, flood it for so many seconds, and look at it as its operator."""
    settings = "account_metrics = true\nconnections_per_ip = 0\n"
    quotas = "".join(f"{name} = {value}\n" for name, value in _QUOTAS.items()) if has_quotas else ""
    if engine == "memory":
        with running_victim(folder, twistd, environment, settings=settings, account_lines=quotas) as victim:
            return _flood(flood, engine, victim, seconds, has_quotas)
    with running_redis(folder) as redis:
        settings += f'redis = "redis://127.0.0.1:{redis}/0"\n'
        with running_victim(folder, twistd, environment, settings=settings, account_lines=quotas) as victim:
            felt = _flood(flood, engine, victim, seconds, has_quotas)
            felt.redis = int(info_now(redis, "memory")["used_memory_peak"])
            felt.redis_bound = most_memory(
                felt.pushes,
                flood.text,
                felt.pushes if flood.identifiers else 0,
                max(felt.listeners, felt.connections),
                _QUOTAS["keep_bytes"] if has_quotas else _KEEP_BYTES,
            )
            return felt


def _flood(flood: Flood, engine: str, victim: Victim, seconds: float, has_quotas: bool) -> Felt:
    operator = Operator(victim.ports["admin"], victim.log)
    client = _client(victim.ports["http"])
    victim.begin()
    memory, cpu = victim.memory(), victim.cpu_seconds()
    command = [sys.executable, "-m", "bench.campaigns.floods.flooder", flood.name, str(victim.ports["http"])]
    felt = Felt(flood, engine, has_quotas)
    with subprocess.Popen([*command, str(seconds + _LOOK)], stdout=subprocess.PIPE) as flooder:  # noqa: S603 - written here
        assert flooder.stdout is not None
        flooder.stdout.readline()
        latencies = client.measure(seconds, lambda: cpu_seconds(victim.pid))
        felt.cpu = (victim.cpu_seconds() - cpu) / seconds
        figures = operator.figures_of_flood(flood.figure, _LOOK / 2)
        felt.listeners = int(operator.figures("listeners")[KEY])
        if not flood.pushes:
            felt.console = operator.console_has_listeners(_LOOK / 2)
        output, _ = flooder.communicate(timeout=seconds + 30)
    client.close()
    traffic = json.loads(output)
    felt.sent, felt.connections = traffic["sent"] / (seconds + _LOOK), traffic["connections"]
    felt.p50, felt.p99, felt.errors = latencies.percentile(50), latencies.percentile(99), latencies.errors
    felt.cpu_p99 = latencies.cpu_percentile(99)
    felt.memory, felt.turn = victim.peak_memory() - memory, victim.longest_turn()
    felt.metric = figures[KEY], figures[good_client.KEY]
    felt.pushes = int(operator.figures("pushes_total")[KEY])
    felt.refused = int(operator.figures("refused_total")[KEY])
    if flood.pushes:
        felt.console = operator.console_names(flood.figure)
    if felt.refused:
        felt.codes, felt.log = operator.console_refusals(), operator.log_names()
    return felt


def _client(port: int) -> GoodClient:
    """Return a good client. With Redis a server listens on its ports before it serves."""
    until = time.monotonic() + 20
    while True:
        try:
            return GoodClient(port)
        except (OSError, EOFError, ValueError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
