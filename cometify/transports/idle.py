"""Ends connections on which nothing happens."""

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

log = Logger()


class TimesOut(Protocol):
    """Something that can be quiet for too long."""

    def timeoutConnection(self) -> None:
        """It was."""


class Idle:
    """To be ticked once a second; `seconds` is a clock that never goes back, `patience` so many seconds of it.

    A DelayedCall for each connection, moved with each request, takes a tenth of what a joining takes: here one that is
    quiet longest comes first, and times are as coarse as the ticks.
    """

    def __init__(self, seconds: Callable[[], float], patience: float) -> None:
        self._seconds = seconds
        self._patience = patience
        self._now = seconds()
        self._since: dict[TimesOut, float] = {}

    def saw(self, connection: TimesOut) -> None:
        """Something has happened."""
        self._since.pop(connection, None)
        self._since[connection] = self._now

    def forget(self, connection: TimesOut) -> None:
        """It may be as quiet as it likes."""
        self._since.pop(connection, None)

    def tick(self) -> None:
        """A second has passed."""
        self._now = self._seconds()
        while self._since:
            connection, since = next(iter(self._since.items()))
            if since + self._patience > self._now:
                return
            del self._since[connection]
            try:
                connection.timeoutConnection()
            except Exception:  # noqa: BLE001 - whatever is wrong with one, the others are not to stay for ever
                log.failure("A quiet connection could not be ended")
