"""Closes connections on which nothing happens, and those whose requests come too slowly.

A request that has begun must go on. Otherwise one byte now and then would keep a connection, and all that it has sent, for
ever. Its head must be whole within `REST_WITHIN`. Each piece of its body then gives it more time, at `LEAST_SPEED`.

A mobile phone gets 1 KiB a second at the edge of an old network (GPRS carries 2 to 5), so an honest client is not cut.
The longest body of a push takes nine minutes at that speed. Holding connections becomes costly: 1,000 of them take 1 MiB
a second, and not 100 bytes.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

REST_WITHIN = 30
"""Seconds in which the head of a request must be whole, and in which a body must begin to come."""
LEAST_SPEED = 1024
"""Bytes a second that a body must have on the average, after the first `REST_WITHIN` seconds."""

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

    `seconds`: a clock that never goes back. `patience`: the seconds after which a connection is idle for too long. `slow`:
    the connections that were closed with a request that had begun, counted by themselves.

    Activity on a connection only sets its `seen` to `now`, which is as coarse as the ticks. The connection is looked at in
    the first second in which it may have been idle for too long, and put into a later slot if it was not. A DelayedCall
    for each connection, moved with each request, would take a tenth of a join.
    """

    def __init__(self, seconds: Callable[[], float], patience: float) -> None:
        self._seconds = seconds
        self._patience = patience
        self.now = seconds()
        self.slow = 0
        self._looked = int(self.now)
        self._due: dict[int, dict[TimesOut, None]] = {}

    def watch(self, connection: TimesOut) -> None:
        """Begin to count for a connection, or begin again."""
        connection.seen = self.now
        if not connection.due:
            self._wait(connection)

    def expect_rest(self, connection: TimesOut) -> None:
        """Give a connection `REST_WITHIN` seconds from now, because it has begun with something."""
        connection.seen = self.now - self._patience + REST_WITHIN
        # A slot that comes before is right too. A connection with many requests is so moved every half a minute.
        if connection.due > self._due_of(connection):
            self.forget(connection)
            self._wait(connection)

    def extend(self, connection: TimesOut, size: int) -> None:
        """Give a connection the time in which `size` bytes may come. It gets no more than an idle connection has."""
        connection.seen = min(self.now, connection.seen + size / LEAST_SPEED)

    def _due_of(self, connection: TimesOut) -> int:
        return int(connection.seen + self._patience) + 1

    def _wait(self, connection: TimesOut) -> None:
        connection.due = self._due_of(connection)
        self._due.setdefault(connection.due, {})[connection] = None

    def forget(self, connection: TimesOut) -> None:
        """Stop counting for a connection."""
        if connection.due:
            self._due.get(connection.due, {}).pop(connection, None)
            connection.due = 0

    def watched(self) -> list[TimesOut]:
        """All connections that are counted for."""
        return [connection for slot in self._due.values() for connection in slot]

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
