"""CPU, commands and memory that processes and Redis have used so far."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.rig.redis import Redis, info

_OURS = frozenset(("info", "ping", "flushall", "config|resetstat"))


def cpu(pid: int) -> float:
    """Return the seconds of CPU, user and system, of all threads that a process has now."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def commands(port: int) -> Counter[str]:
    """Return how often Redis has run each command, in scripts or not. Leaves out the commands of this measurement."""
    stats = await info(port, "commandstats")
    calls = {
        name.removeprefix("cmdstat_"): int(text.split(",")[0].removeprefix("calls=")) for name, text in stats.items()
    }
    return Counter({name: count for name, count in calls.items() if name not in _OURS})


async def memory(port: int) -> int:
    """Return the bytes that Redis uses, without the buffers of its connections."""
    found = await info(port, "memory")
    return int(found["used_memory"]) - int(found["mem_clients_normal"])


@dataclass(frozen=True)
class Spent:
    """CPU of each node and of Redis in seconds, and the commands that Redis ran."""

    nodes: tuple[float, ...]
    redis: float
    commands: Counter[str]

    def since(self, before: "Spent") -> "Spent":
        """The difference to an earlier measurement."""
        nodes = tuple(now - then for now, then in zip(self.nodes, before.nodes, strict=True))
        return Spent(nodes, self.redis - before.redis, self.commands - before.commands)


async def spent(nodes: Iterable[int], redis: Redis) -> Spent:
    """Measure what nodes with these process ids, and Redis, have used until now."""
    return Spent(tuple(cpu(pid) for pid in nodes), cpu(redis.pid), await commands(redis.port))
