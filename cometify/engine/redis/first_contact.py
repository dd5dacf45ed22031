"""Requests that come before Redis has answered for the first time.

"Until its engine is there for the first time, a server's ports take connections and requests wait for it up to 3 s:
nobody is refused because a node has just started" (the contract, section 7). Later, when Redis was there and is lost
again, nobody waits: a refusal at once lets a client go to another node.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from cometify.core.errors import Refused
from cometify.runtime.reactor import Clock

WAIT_SECONDS = 3.0
"""Time that a request waits for Redis."""
MOST_WAITING = 10_000
"""Requests that wait at once. A request beyond them is refused at once."""
SLICE = 50
"""Requests that go on in one turn of the reactor, so that everything else has its turn too."""


class FirstContact:
    """A queue of requests, first come first served. `over()`: called when nobody waits any longer and Redis is there.

    `until()`: when a request that comes now is refused. None: after `WAIT_SECONDS`.
    """

    def __init__(self, clock: Clock, over: Callable[[], None], until: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._over = over
        self._until = until or (lambda: clock.seconds() + WAIT_SECONDS)
        self._serving_until: float | None = None
        self._is_there = False
        self._is_closed = False
        self._queue: deque[tuple[float, Deferred[None], Callable[[], Refused]]] = deque()
        self._timer: IDelayedCall | None = None

    def wait(self, refusal: Callable[[], Refused]) -> Deferred[None]:
        """Wait for Redis. Fails with `refusal()` if it does not come in time, or if too many wait already."""
        if self._is_closed or len(self._queue) >= MOST_WAITING:
            return defer.fail(refusal())
        served: Deferred[None] = Deferred()
        until = self._until()
        waiting = until, served, refusal
        if self._queue and until < self._queue[-1][0]:
            insort(self._queue, waiting, key=itemgetter(0))  # it has waited elsewhere before
        else:
            self._queue.append(waiting)
        if self._queue[0] is waiting and not self._is_there:
            self._cancel()
        if self._timer is None:
            self._timer = self._clock.callLater(max(0.0, until - self._clock.seconds()), self._serve_some)
        return served

    def latest(self) -> float:
        """When a request is refused elsewhere: one that comes now, or one that has waited here and goes on now."""
        return self._clock.seconds() + WAIT_SECONDS if self._serving_until is None else self._serving_until

    def redis_is_there(self) -> None:
        """Let the requests go on, in the order in which they came. Those that come meanwhile queue behind them."""
        self._is_there = True
        self._cancel()
        self._serve_some()

    def close(self) -> None:
        """Refuse the requests that wait, because the node stops.

        This is one step, because the event loop may have no further turn. It holds up nobody: the ports are closed, and the
        listeners were sent away.
        """
        self._is_closed = True
        self._cancel()
        queue, self._queue = self._queue, deque()
        for _until, served, refusal in queue:
            served.errback(refusal())

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _serve_some(self) -> None:
        """Let some requests go on, or refuse some whose time is over, and come back for the others."""
        self._timer = None
        for _ in range(SLICE):
            if not self._queue or not (self._is_there or self._queue[0][0] <= self._clock.seconds()):
                break
            self._serving_until, served, refusal = self._queue.popleft()
            if self._is_there:
                served.callback(None)
            else:
                served.errback(refusal())
            self._serving_until = None
        # A request served in the loop may have called `wait` again. Its timer would be too late for those still queued.
        self._cancel()
        if self._queue:
            delay = 0 if self._is_there else max(0.0, self._queue[0][0] - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._serve_some)
        elif self._is_there and not self._is_closed:
            self._over()
