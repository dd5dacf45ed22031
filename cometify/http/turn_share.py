"""The requests that connections with many of them may have answered in one turn of the reactor.

A peer can send many requests without waiting for answers. Ten such peers could have ten times as many answered in each turn
as one of them, and everybody else would wait that much longer. So the requests of one turn are shared: all connections
together get as many as one of them gets alone. Those that have more wait in a queue, and each gets an equal part in its turn.

A request that comes alone is not counted and never waits. Nearly all requests are of that kind.
"""

from collections import deque
from collections.abc import Callable

from cometify.runtime.reactor import CallLater

AT_ONCE = 64
"""Plain requests in one turn, beside those that come alone: some 2 ms. Everybody waits that long."""


class TurnShare:
    """`call_later`: the reactor's. `size`: the requests that a connection may have answered now, at least one."""

    __slots__ = ("_busy", "_call_later", "_is_set", "_left", "_most", "_waiting", "size")

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_set = False
        # Of this turn: the requests that are left for all, the most for one connection, and the connections with many.
        self._left = self._most = self.size = AT_ONCE
        self._busy = 0

    def spend(self, count: int) -> None:
        """Count the requests of a connection that had many."""
        self._left -= count
        self._busy += 1
        self.size = max(1, min(self._left, self._most))
        self._start()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` in one of the next turns. Those that came before go first."""
        self._waiting.append(go_on)
        self._start()

    def _start(self) -> None:
        if not self._is_set:
            self._is_set = True
            self._call_later(0, self._begin_turn)

    def _begin_turn(self) -> None:
        self._is_set = False
        # The connections that had many requests in the last turn are expected to have many again.
        self._left, self._most, self._busy = AT_ONCE, max(1, AT_ONCE // max(1, self._busy)), 0
        self.size = self._most
        try:
            for _ in range(len(self._waiting)):
                if self._left <= 0:
                    break
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._start()
