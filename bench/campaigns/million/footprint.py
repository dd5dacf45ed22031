"""Memory and CPU: of processes, and of the kernel for connections."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from attrs import frozen

_SOCKETS = "sock_inode_cache"


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def workers(pid: int) -> list[int]:
    """The workers of a server. With a single worker there is one process, which is the server itself."""
    return [child for child in children(pid) if _name(child).startswith("cometify-")] or [pid]


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def descriptors(pid: int) -> int:
    """The number of file descriptors of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def proportional(pids: Iterable[int]) -> int:
    """The bytes of memory of these processes. Pages that processes share count once, in parts."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def cpu_seconds(pids: Iterable[int]) -> float:
    """The CPU time of these processes and all their threads since they were started."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # the thread has just ended
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _meminfo() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def _entries() -> int:
    """The bytes of entries of directories and files that the kernel remembers. 0 if they are not known.

    Those of sockets are left out, because connections use no others. Whoever looks at /proc/PID/fd leaves 900 bytes for each
    descriptor of that process.
    """
    slabs: dict[str, tuple[int, int, int]] = {}
    with suppress(OSError):  # only root may read it
        for line in Path("/proc/slabinfo").read_text().splitlines()[2:]:
            words = line.split()
            pages = int(words[5]) * int(words[words.index("slabdata") + 2])
            slabs[words[0]] = int(words[1]), int(words[3]), pages * 4096
    files = sum(
        size for name, (_count, _each, size) in slabs.items() if name.endswith("inode_cache") and name != _SOCKETS
    )
    _count, each, names = slabs.get("dentry", (0, 0, 0))
    return files + max(0, names - slabs.get(_SOCKETS, (0, 0, 0))[0] * each)


@frozen
class Memory:
    """Bytes of the machine. `available`: for new processes. `kernel`: what neither processes nor cached files have.

    The kernel's own count of TCP (`mem` in /proc/net/sockstat) is left out. It is not memory in use: it is what sockets may use
    without asking again. The buffers that they do use are pages and slabs, and are in `kernel`.
    """

    available: int
    kernel: int

    @classmethod
    def now(cls) -> "Memory":
        """Read the memory of this moment."""
        facts = _meminfo()
        kernel = facts["MemTotal"] - sum(
            facts[name] for name in ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages")
        )
        return cls(facts["MemAvailable"], kernel - _entries())
