"""Requests to webhooks that are under way at once in this process: their number is bounded, and the others wait.

A receiver that accepts and never answers holds a file descriptor for as long as its request may take. Anybody who may choose a
webhook can have many such receivers. So each request waits for its turn, in the order in which the requests came.

Requests whose account failed the last time have a queue of their own. The two queues take turns. So an account whose receiver
answers waits for one request to end, however many accounts have receivers that hang.
"""

from twisted.internet.defer import Deferred

from cometify.runtime.epoll_loop import CallSoon

MOST_ATTEMPTS = 2
"""Connections of one request that are being made at once, to different addresses of its host."""


class Turn:
    """One turn. It ends when its request has ended and each connection of the request is closed."""

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self._holders = 1

    def hold(self) -> None:
        """Go on until one more call of `let_go`."""
        self._holders += 1

    def let_go(self) -> None:
        """End the turn, unless something else holds it."""
        self._holders -= 1
        if not self._holders:
            self._turns.ended()


class Turns:
    """`descriptors`: the file descriptors that all requests may have together. At least one request is under way."""

    def __init__(self, descriptors: int, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._free = max(1, descriptors // MOST_ATTEMPTS)
        self._waiting: tuple[dict[Deferred[Turn], None], ...] = {}, {}  # first tries and retries
        self._next = 0  # the queue whose turn it is
        self._is_called = False

    def wait(self, *, is_retry: bool) -> Deferred[Turn]:
        """Wait for a turn. A Deferred that is cancelled waits no longer."""
        queue = self._waiting[is_retry]
        waiting: Deferred[Turn] = Deferred(lambda cancelled: queue.pop(cancelled, None))
        queue[waiting] = None
        self._admit()
        return waiting

    def ended(self) -> None:
        """A turn has ended. The next one begins soon, so that accounts which go together do not get the turns of each other."""
        self._free += 1
        if not self._is_called:
            self._is_called = True
            self._call_soon(0, self._admit_soon)

    def _admit_soon(self) -> None:
        self._is_called = False
        self._admit()

    def _admit(self) -> None:
        while self._free and any(self._waiting):
            number = self._next if self._waiting[self._next] else 1 - self._next
            self._next = 1 - number
            waiting = next(iter(self._waiting[number]))
            del self._waiting[number][waiting]
            self._free -= 1
            waiting.callback(Turn(self))
