"""What processes and Redis have used so far."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.rig.redis import Redis, ask, info

_OURS = frozenset(("info", "ping", "flushall", "config|resetstat"))


def cpu(pid: int) -> float:
    """Seconds of CPU, user and system, of all threads that a process has now."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def commands(port: int) -> Counter[str]:
    """How often Redis has run each command, those in scripts included; what is asked here is left out."""
    stats = await info(port, "commandstats")
    calls = {
        name.removeprefix("cmdstat_"): int(text.split(",")[0].removeprefix("calls=")) for name, text in stats.items()
    }
    return Counter({name: count for name, count in calls.items() if name not in _OURS})


async def memory(port: int) -> int:
    """Bytes that Redis uses, its connections' buffers left out."""
    found = await info(port, "memory")
    return int(found["used_memory"]) - int(found["mem_clients_normal"])


async def empty(redis: Redis) -> None:
    """Forget everything."""
    await ask(redis.port, "FLUSHALL")


@dataclass(frozen=True)
class Spent:
    """CPU in seconds: of each node, of Redis; commands that Redis ran."""

    nodes: tuple[float, ...]
    redis: float
    commands: Counter[str]

    def since(self, before: "Spent") -> "Spent":
        """What was spent between the two."""
        nodes = tuple(now - then for now, then in zip(self.nodes, before.nodes, strict=True))
        return Spent(nodes, self.redis - before.redis, self.commands - before.commands)


async def spent(nodes: Iterable[int], redis: Redis) -> Spent:
    """Until now. `nodes`: process ids."""
    return Spent(tuple(cpu(pid) for pid in nodes), cpu(redis.pid), await commands(redis.port))
