"""Signs of life of a worker. A process that is stopped, or that computes without an end, dies by no signal and holds its ports.

The kernel goes on giving connections to such a worker, and they wait for ever. So each worker gives a sign every second, and
the supervisor notices when there is none. A worker that is stopped, or waits for something that does not come, is replaced at
once. One that computes may be under load or on a slow machine, and gets `worker_timeout` seconds.
"""

import os
import select

LOOK_EVERY = 1.0
"""Seconds between two signs, and between two looks of the supervisor."""
SILENT_AFTER = 3.0
"""Seconds without a sign after which a worker counts as silent."""
STARTS_WITHIN = 60.0
"""Seconds that a process has for its first sign, because Python must first load the program."""


class SignsOfLife:
    """The signs of one worker. `silences`: the number of times that it became silent."""

    def __init__(self) -> None:
        self.silences = 0
        self._heard_at = 0.0
        self._patience = STARTS_WITHIN
        self._is_silent = False

    def begin(self, now: float) -> None:
        """Note that a new process starts."""
        self._heard_at, self._patience, self._is_silent = now, STARTS_WITHIN, False

    def heard(self, now: float) -> float:
        """Note a sign. Returns the seconds of the silence that it ends, 0.0 if there was none."""
        silent = now - self._heard_at if self._is_silent else 0.0
        self._heard_at, self._patience, self._is_silent = now, SILENT_AFTER, False
        return silent

    def excuse(self, seconds: float) -> None:
        """Leave some seconds out, because nobody listened then."""
        self._heard_at += seconds

    def silence(self, now: float) -> float:
        """Return the seconds for which the worker has been silent, 0.0 if it counts as alive."""
        silent = now - self._heard_at
        return silent if silent > self._patience else 0.0

    def is_news(self) -> bool:
        """Return True once for each silence, and count it."""
        is_news, self._is_silent = not self._is_silent, True
        self.silences += is_news
        return is_news


def give_sign(descriptor: int) -> None:
    """Write a sign of life. Does nothing if the pipe is full, because the supervisor itself may be stopped."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if any(event == select.POLLOUT for _descriptor, event in poll.poll(0)):
        os.write(descriptor, b"\n")
