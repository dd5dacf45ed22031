"""The lag of a busy machine, so that a promise in seconds can be held without a quiet one."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

TICK = 0.01
"""Seconds of each sleep."""


def waited_for_cpu(pid: int) -> float:
    """Seconds since its start for which a process was ready to run and had no core. 0 where the kernel does not say."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


class SchedulingLag:
    """Measures how late this machine wakes a process that sleeps. `seconds`: the sum since the start.

    A server that mostly sleeps is late by about as much. One that computes waits longer: see `waited_for_cpu`. On a quiet
    machine the sum grows by less than a fiftieth of the time, so a promise of two seconds plus this lag stays one of two
    seconds.
    """

    def __init__(self) -> None:
        self._late = 0.0
        self._due = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._due = time.monotonic() + TICK
        self._thread.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(max(0, self._due - time.monotonic())):
            woken = time.monotonic()
            self._late += max(0, woken - self._due)
            self._due = woken + TICK

    @property
    def seconds(self) -> float:
        """The lag so far, with that of a sleep that is over already and has not been woken."""
        return self._late + max(0, time.monotonic() - self._due)
