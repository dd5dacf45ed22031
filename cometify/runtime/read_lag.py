"""Read lag: how late this process reads what has come in.

A timer can be punctual while reads are late. When tens of thousands of connections are closed at once, each turn of the event
loop reads some of them, and a connection to Redis waits for its turn for seconds. A program that takes the time until it has
read an answer for the time that Redis needed blames Redis then.

So the process measures itself: now and then it makes a descriptor of its own readable, and sees how long the event loop takes
to read it. It has the same rank as the connections to Redis, and those of one rank are read in the order in which they became
readable (see `read_order`). So an answer of Redis has waited about as long.
"""

import os
from collections import deque

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.runtime.reactor import Reactor

REMEMBERED = 3.0
"""Seconds for which a measured lag still counts."""
NOTICED = 0.25
"""Seconds below which a lag does not count."""
MOST_LAGS = 1000
"""Lags that are remembered for `ReadLag.take_mean`."""


@implementer(IReadDescriptor)
class ReadLag:
    """Measures the lag while `measure` is called every `every` seconds."""

    def __init__(self, reactor: Reactor, every: float) -> None:
        self._reactor = reactor
        self._every = every
        self._descriptor = -1
        self._due = 0.0
        self._sent_at: float | None = None  # when the descriptor was made readable, None if it has been read since
        self._measured: deque[tuple[float, float]] = deque()  # when a lag was measured, and its seconds
        self._lags: list[float] = []  # all since the last `take_mean`

    def start(self) -> None:
        """Open the descriptor."""
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._due = self._reactor.seconds() + self._every
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Close the descriptor. Does nothing if it is closed."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            self.connectionLost(Failure(CONNECTION_LOST))

    def measure(self) -> float:
        """Begin a measurement, and return the longest lag of the last seconds. 0.0 if none is worth noticing."""
        now = self._reactor.seconds()
        self._note(now - self._due)
        self._due = now + self._every
        if self._sent_at is None:
            self._sent_at = now
            os.eventfd_write(self._descriptor, 1)
        else:
            self._note(now - self._sent_at)
        while self._measured and now - self._measured[0][0] > REMEMBERED:
            self._measured.popleft()
        return max((seconds for _when, seconds in self._measured), default=0.0)

    def take_mean(self) -> float:
        """Return the mean of all lags since the last call, however short they are. 0.0 if there was none."""
        lags, self._lags = self._lags, []
        return sum(lags) / len(lags) if lags else 0.0

    def _note(self, seconds: float) -> None:
        if seconds > NOTICED:
            self._measured.append((self._reactor.seconds(), seconds))

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "read lag"

    def doRead(self) -> Failure | None:
        try:
            os.eventfd_read(self._descriptor)
        except BlockingIOError:
            return None  # an event that was left over from an earlier turn
        sent_at, self._sent_at = self._sent_at, None
        if sent_at is not None:
            lag = self._reactor.seconds() - sent_at
            self._note(lag)
            if len(self._lags) < MOST_LAGS:
                self._lags.append(lag)
        return None

    def connectionLost(self, reason: Failure) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._sent_at = None
