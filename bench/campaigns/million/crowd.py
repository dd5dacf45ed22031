"""The listeners: processes of `crowd.c`, and their figures."""

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from bench.rig.account import KEY
from bench.rig.folders import BUILD
from bench.rig.load_generator import compile_c

IDENTIFIER = "million"
PER_ADDRESS = 25
"""Listeners of one source address. An account allows 30."""
PER_PROCESS = 19_000
"""Listeners of one process: systems often allow it 20,000 file descriptors."""
AT_ONCE = 2048
"""Listeners that connect at the same time, until all have joined for the first time."""
_PROGRAM = BUILD / "crowd"
_PATH = f"/{KEY}/websocket?identifiers={IDENTIFIER}&listener=crowd"
_NAMES = (
    "joined", "joins", "lost", "failed", "refused", "late", "beats", "delivered", "wrong", "missed", "last_delivery",
    "last_join", "waiting",
)  # fmt: skip
_TIMES_AT = 16
CLASSES = 2048
_ENDS_WITHIN = 300.0
"""Seconds. The kernel closes a million connections."""
_LAST = 5
"""The priority of the crowd (`nice`): behind the server, because real listeners have processors of their own."""
_LATEST = frozenset({"last_delivery", "last_join"})
"""The figures of which the latest counts, and not the sum."""


def build() -> None:
    """Compile the program. Raises SystemExit with what is missing."""
    wrong = compile_c(_PROGRAM, "campaigns/million/crowd.c")
    if wrong:
        raise SystemExit(f"the crowd cannot be built, bench/setup tools installs gcc: {wrong.splitlines()[0]}")


class Figures:
    """The figures of all processes together, as they were at one moment. `crowd.c` explains them.

    `named`: all but the histogram. `times`: the number of deliveries in each class of latency.
    """

    def __init__(self, named: dict[str, int], times: tuple[int, ...]) -> None:
        self.named = named
        self.times = times

    def __getitem__(self, name: str) -> int:
        return self.named[name]

    def percentile(self, percent: float, before: "Figures") -> float:
        """A percentile of the latencies since `before`, in milliseconds, or 0 if nothing was delivered."""
        counts = [now - then for now, then in zip(self.times, before.times, strict=True)]
        left = percent / 100 * sum(counts)
        for number, count in enumerate(counts):
            left -= count
            if count and left <= 0:
                return _nanoseconds(number) / 1e6
        return 0.0


def _nanoseconds(number: int) -> int:
    """The least latency of a class."""
    return number if number < 32 else (32 + number % 32) << (number // 32 - 1)


class Crowd:
    """Listeners of a port of this machine, in as many processes as they need."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], states: list[Path]) -> None:
        self._processes = processes
        self._maps: list[mmap.mmap] = []
        for state in states:
            with state.open("rb") as file:
                self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [process.pid for process in self._processes]

    def figures(self) -> Figures:
        """The figures of this moment. Raises SystemExit if a process has ended."""
        for process in self._processes:
            if process.poll() is not None:
                raise SystemExit(f"a process of the crowd ended with {process.returncode}")
        rows = [struct.unpack_from(f"={_TIMES_AT + CLASSES}Q", state) for state in self._maps]
        named = {}
        for place, name in enumerate(_NAMES):
            values = [row[place] for row in rows]
            named[name] = max(values) if name in _LATEST else sum(values)
        return Figures(named, tuple(map(sum, zip(*(row[_TIMES_AT:] for row in rows), strict=True))))

    @classmethod
    @contextmanager
    def of(cls, listeners: int, port: int, longest: float, folder: Path) -> Iterator[Self]:
        """Run so many listeners of a port. `longest`: the most seconds until a listener comes again."""
        at_once = max(2, AT_ONCE // -(-listeners // PER_PROCESS))
        processes: list[subprocess.Popen[bytes]] = []
        states: list[Path] = []
        try:
            for first in range(0, listeners, PER_PROCESS):
                state = folder / f"crowd-{first}"
                state.write_bytes(bytes(8 * (_TIMES_AT + CLASSES)))
                number = min(PER_PROCESS, listeners - first)
                words = (port, _PATH, number, first, PER_ADDRESS, at_once, longest, state)
                processes.append(subprocess.Popen([str(_PROGRAM), *map(str, words)], stdin=subprocess.PIPE))  # noqa: S603 - ours
                os.setpriority(os.PRIO_PROCESS, processes[-1].pid, _LAST)
                states.append(state)
            yield cls(processes, states)
        finally:
            for process in processes:
                assert process.stdin is not None
                process.stdin.close()
            for process in processes:
                process.wait(_ENDS_WITHIN)
