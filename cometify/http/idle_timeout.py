"""Closes connections on which nothing happens."""

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

log = Logger()


class TimesOut(Protocol):
    """A connection that can be idle for too long.

    `seen`: the time at which something last happened on it. `due`: the second in which it is looked at, 0 if it is not
    watched.
    """

    seen: float
    due: int

    def timeoutConnection(self) -> None:
        """Close the connection: it has been idle for too long."""


class IdleTimeout:
    """A timer wheel with a slot for each second. To be ticked once a second.

    `seconds`: a clock that never goes back. `patience`: the seconds after which a connection is idle for too long.

    Activity on a connection only sets its `seen` to `now`, which is as coarse as the ticks. The connection is looked at in
    the first second in which it may have been idle for too long, and put into a later slot if it was not. A DelayedCall
    for each connection, moved with each request, would take a tenth of a join.
    """

    def __init__(self, seconds: Callable[[], float], patience: float) -> None:
        self._seconds = seconds
        self._patience = patience
        self.now = seconds()
        self._looked = int(self.now)
        self._due: dict[int, dict[TimesOut, None]] = {}

    def watch(self, connection: TimesOut) -> None:
        """Begin to count for a connection, or begin again."""
        connection.seen = self.now
        if not connection.due:
            self._wait(connection)

    def _wait(self, connection: TimesOut) -> None:
        connection.due = int(connection.seen + self._patience) + 1
        self._due.setdefault(connection.due, {})[connection] = None

    def forget(self, connection: TimesOut) -> None:
        """Stop counting for a connection."""
        if connection.due:
            self._due.get(connection.due, {}).pop(connection, None)
            connection.due = 0

    def tick(self) -> None:
        """Look at all connections that are due. A tick that comes late looks at those of several seconds."""
        self.now = self._seconds()
        while self._looked < int(self.now):
            self._looked += 1
            due = self._due.pop(self._looked, {})
            while due:
                self._look(due.popitem()[0])

    def _look(self, connection: TimesOut) -> None:
        if not connection.due:
            return  # forgotten while another connection of the same slot was closed
        connection.due = 0
        if connection.seen + self._patience > self.now:
            self._wait(connection)
            return
        try:
            connection.timeoutConnection()
        except Exception:  # noqa: BLE001 - an error with one connection must not keep the others open
            log.failure("Closing an idle connection failed")
