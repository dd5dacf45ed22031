"""CPU, commands and memory that processes and Redis have used so far."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.rig.redis import Redis, info, pipeline

_OURS = frozenset(("info", "ping", "flushall", "config|resetstat"))
_SETS, _REPEATED = 1000, 100
"""Commands in one pipeline, and pipelines that are measured."""


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


async def cpu_of_set(redis: Redis) -> float:
    """Return the seconds of CPU that Redis takes for one of many pipelined SETs of 300 bytes, on keys that are there already.

    The least that Redis can do for a value of the size of a push. Other figures of the same run can be compared with it.
    """
    sets = [["SET", f"bench:{number}", "x" * 300] for number in range(_SETS)]
    await pipeline(redis.port, sets)
    before = cpu(redis.pid)
    for _ in range(_REPEATED):
        await pipeline(redis.port, sets)
    taken = cpu(redis.pid) - before
    await pipeline(redis.port, [["DEL", *(name for _set, name, _value in sets)]])
    return taken / (_SETS * _REPEATED)


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
