"""Thousands of listeners leave at once: python -m bench.campaigns.floods.leaving [--listeners N]. Ends with 1 above a bound.

The load generator holds the listeners and is killed, so that the kernel closes all of their connections in the same moment. A
good client of another account pushes meanwhile. Redis must get few commands for it, and must not be taken for lost.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from bench.campaigns.attacks.good_client import GoodClient, Latencies
from bench.campaigns.attacks.victim import Victim, running_victim
from bench.campaigns.fairness.neighbours import cpu_seconds
from bench.campaigns.floods.operator import Operator
from bench.rig import load_generator
from bench.rig.account import KEY
from bench.rig.console import say
from bench.rig.folders import BUILD
from bench.rig.redis import command_now, info_now, running_redis
from bench.rig.server_process import raise_file_limit

LISTENERS = 70_000
PER_ADDRESS = 20_000
"""Listeners of one source address, which has 28,000 ports."""
MOST_SCRIPTS = 0.1
"""The most scripts that run in Redis for each listener that leaves."""
MOST_CPU = 0.2
"""The most seconds of the server's CPU before a push of the good client is delivered. A push does not wait for the ends."""
_JOINS_WITHIN = 240.0
_LEAVES_WITHIN = 60.0
_SETTINGS = """\
account_metrics = true
connections_per_ip = 0
redis = "redis://127.0.0.1:{redis}/0"
"""
_GENERATOR = ("--mode", "ws", "--hold", "600", "--settle", "0", "--connect-timeout", "240")
_PATH = f"/{KEY}/websocket?identifiers=own{{i}}"


@dataclass
class Left:
    """The departure of many. `took`: seconds until the server had noticed that all were gone.

    `scripts`: run in Redis for it. `losses`: of the session with Redis. `slots`: addresses that still have slots in Redis
    afterwards. `before`, `meanwhile`: the good client's times. `lines`: warnings of the log.
    """

    listeners: int
    took: float
    scripts: int
    losses: float
    slots: int
    before: Latencies
    meanwhile: Latencies
    lines: list[str] = field(default_factory=list)

    def violations(self, slack: float = 1.0) -> list[str]:
        """Everything that must not be. `slack` multiplies the bounds of the latency and of the scripts."""
        found = [f"the good client met: {error}" for error in self.meanwhile.errors]
        longest, most = self.meanwhile.cpu_percentile(100), MOST_CPU * slack
        if longest > most:
            found.append(f"a push took {longest * 1e3:.0f} ms of CPU, the bound is {most * 1e3:.0f} ms")
        # Slots of one turn share a script, and a turn reads fewer connections while the machine has other work.
        if self.scripts > MOST_SCRIPTS * slack * self.listeners:
            found.append(f"{self.scripts} scripts were run in Redis for {self.listeners} listeners")
        if self.losses:
            found.append(f"Redis was taken for lost {self.losses:.0f} times")
        if self.slots:
            found.append(f"{self.slots} addresses still have slots in Redis")
        return found


def settings_for(redis: int) -> str:
    """Return the settings of the server, with a Redis on this port."""
    return _SETTINGS.format(redis=redis)


@contextmanager
def holding_listeners(port: int, number: int) -> Iterator[subprocess.Popen[bytes]]:
    """Let so many listeners join the account, as fast as they can, and hold them during the block."""
    load_generator.build()
    arguments = [*_GENERATOR, "--port", str(port), "--path", _PATH, "-n", str(number)]
    arguments += ["--src-n", str(-(-number // PER_ADDRESS))]
    command = [load_generator.program_for(arguments), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - ours
        try:
            yield process
        finally:
            process.kill()


def wait_for_listeners(operator: Operator, number: int, seconds: float, every: float = 0.1) -> float:
    """Wait until the account has so many listeners. Returns the seconds that it took, or raises SystemExit.

    `every`: seconds between two looks at the metrics. With 18,000 identifiers that are listened to a look takes 15 ms of the
    server, for which others wait.
    """
    began = time.monotonic()
    while (there := operator.figures("listeners")[KEY]) != number:
        if time.monotonic() - began > seconds:
            raise SystemExit(f"{there:.0f} listeners are there after {seconds:.0f} s, and {number} should be")
        time.sleep(every)
    return time.monotonic() - began


def leave_at_once(victim: Victim, redis: int, number: int, seconds: float = 5.0) -> Left:
    """Let so many listeners join and leave. The good client is measured for so many seconds before and while they leave."""
    operator = Operator(victim.ports["admin"], victim.log)

    def measure() -> Latencies:
        return client.measure(seconds, lambda: cpu_seconds(victim.pid))

    with holding_listeners(victim.ports["http"], number) as generator:
        wait_for_listeners(operator, number, _JOINS_WITHIN)
        victim.rest(10)
        client = GoodClient(victim.ports["http"])
        before, scripts = measure(), _scripts_run(redis)
        generator.send_signal(signal.SIGKILL)
        meanwhile = measure()
        took = seconds + wait_for_listeners(operator, 0, _LEAVES_WITHIN)
        victim.rest(10)
    client.close()
    return Left(
        number,
        took,
        _scripts_run(redis) - scripts - len(meanwhile.seconds),  # the good client's pushes run one each
        operator.total("redis_losses_total"),
        len(cast("list[str]", command_now(redis, "KEYS", f"cometify:{{{KEY}}}:l:*"))),
        before,
        meanwhile,
        re.findall(r"^.*#(?:warn|error|critical).*$", victim.log.read_text(errors="replace"), re.MULTILINE),
    )


def _scripts_run(redis: int) -> int:
    stats = info_now(redis, "commandstats")
    calls = (re.match(r"calls=(\d+)", stats.get(f"cmdstat_{name}", "calls=0")) for name in ("eval", "evalsha"))
    return sum(int(found[1]) for found in calls if found is not None)


def main(arguments: list[str]) -> int:
    """Let the listeners leave. Returns 1 if somebody else feels it, or if Redis does."""
    parser = argparse.ArgumentParser(
        prog="bench.campaigns.floods.leaving", description="Let thousands of listeners leave in the same moment."
    )
    parser.add_argument("--listeners", type=int, default=LISTENERS, help=f"how many leave ({LISTENERS:,})")
    parser.add_argument("--bin", type=Path, default=BUILD / "venv/bin", help="folder with Cometify's twistd")
    options = parser.parse_args(arguments)
    raise_file_limit(options.listeners)
    twistd = [str(options.bin.absolute() / "twistd")]
    with tempfile.TemporaryDirectory(prefix="leaving-") as name, running_redis(Path(name)) as redis:
        settings = settings_for(redis)
        with running_victim(
            Path(name), twistd, settings=settings, account_lines="listeners_per_ip = 100000\n"
        ) as victim:
            left = leave_at_once(victim, redis, options.listeners)
    for when, latencies in (("before", left.before), ("while they leave", left.meanwhile)):
        say(
            f"{when}: p50 {latencies.percentile(50) * 1e3:.1f} ms, p99 {latencies.percentile(99) * 1e3:.1f} ms, "
            f"longest {latencies.percentile(100) * 1e3:.0f} ms, CPU p99 {latencies.cpu_percentile(99) * 1e3:.1f} ms, "
            f"{len(latencies.seconds)} pushes"
        )
    say(f"{left.listeners:,} were gone after {left.took:.1f} s, with {left.scripts:,} scripts run in Redis")
    for line in [*left.lines, *left.violations()]:
        say(line)
    return int(bool(left.violations()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
