"""Ends connections on which nothing happens."""

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

log = Logger()


class TimesOut(Protocol):
    """Something that can be quiet for too long. `seen`: when something has happened on it last; `due`: when to look."""

    seen: float
    due: int

    def timeoutConnection(self) -> None:
        """It was."""


class IdleTimeout:
    """To be ticked once a second; `seconds` is a clock that never goes back, `patience` so many seconds of it.

    Whatever happens on a connection only sets its `seen` to `now`, which is as coarse as the ticks; it is looked at when it
    may have been quiet for long enough. A DelayedCall for each, moved with each request, takes a tenth of a joining.
    """

    def __init__(self, seconds: Callable[[], float], patience: float) -> None:
        self._seconds = seconds
        self._patience = patience
        self.now = seconds()
        self._looked = int(self.now)
        self._due: dict[int, dict[TimesOut, None]] = {}

    def watch(self, connection: TimesOut) -> None:
        """Begin to count for a connection, or count anew."""
        connection.seen = self.now
        if not connection.due:
            self._wait(connection)

    def _wait(self, connection: TimesOut) -> None:
        connection.due = int(connection.seen + self._patience) + 1
        self._due.setdefault(connection.due, {})[connection] = None

    def forget(self, connection: TimesOut) -> None:
        """It may be as quiet as it likes."""
        if connection.due:
            self._due.get(connection.due, {}).pop(connection, None)
            connection.due = 0

    def tick(self) -> None:
        """A second has passed, or more of them."""
        self.now = self._seconds()
        while self._looked < int(self.now):
            self._looked += 1
            due = self._due.pop(self._looked, {})
            while due:
                self._look(due.popitem()[0])

    def _look(self, connection: TimesOut) -> None:
        if not connection.due:
            return  # forgotten by what another one of this second has done
        connection.due = 0
        if connection.seen + self._patience > self.now:
            self._wait(connection)
            return
        try:
            connection.timeoutConnection()
        except Exception:  # noqa: BLE001 - whatever is wrong with one, the others are not to stay for ever
            log.failure("A quiet connection could not be ended")
