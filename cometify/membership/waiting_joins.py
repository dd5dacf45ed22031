"""Joins that wait for Redis, and the bound of their wait.

A client waits five seconds for its first frame, leaves, and comes again. The joins of an account wait in one queue. If
listeners come faster than they can join, the queue grows until each of them has left before it is its turn: the server works
all the time, and nobody joins. Those who come again wait at the end of the same queue, so that this does not end by itself.

So newcomers are refused while the join that has waited longest has waited for `TOO_LONG`, and those who wait are served in
time. To refuse costs less than to join. If 300 joins wait and the first of them has waited for 2 s, then 150 are served in a
second. So 150 of those who are refused are told to come back in each of the seconds to come. Each account is looked at alone,
because its queue says nothing about the joins of another account.

An address of which joins wait already is refused first, because a few connections that join again and again could keep all
others away. Others are refused when the wait is longer still.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from cometify.core import errors
from cometify.core.join_pace import JoinPace
from cometify.core.quota import ClientKey

TOO_LONG = 2.0
"""Seconds. Clients wait for five, and the connection has waited to be accepted too."""

TOO_LONG_FOR_ALL = 3.0
"""The same for an address of which no join waits."""

T = TypeVar("T")


class _Queue:
    """The joins of one account."""

    def __init__(self) -> None:
        self.pace = JoinPace(None)
        self.since: dict[object, float] = {}  # the order is that in which they came
        self.of_client: Counter[ClientKey] = Counter()


class WaitingJoins:
    """`seconds`: a clock that never goes back."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._queues: dict[str, _Queue] = {}  # of the accounts of which a join waits

    def check(self, client_key: ClientKey) -> None:
        """Check that a newcomer would not wait for too long. Raises `Refused` (overloaded)."""
        queue = self._queues.get(client_key[0])
        if queue is None:
            return  # without Redis none ever waits
        now = self._seconds()
        longest = now - next(iter(queue.since.values()))
        if longest > (TOO_LONG if client_key in queue.of_client else TOO_LONG_FOR_ALL):
            wait = queue.pace.next_wait(now, len(queue.since) / longest)
            raise errors.Refused(
                errors.OVERLOADED,
                f"More listeners come than can join: come back in {wait} s. (The operator can add workers or nodes.)",
                retry=wait,
            )

    def watch(self, joining: Deferred[T] | None, client_key: ClientKey) -> Deferred[T] | None:
        """Count a join as one that waits until its Deferred fires. None: it did not wait."""
        if joining is not None:
            queue = self._queues.get(client_key[0])
            if queue is None:
                queue = self._queues[client_key[0]] = _Queue()
            queue.since[joining] = self._seconds()
            queue.of_client[client_key] += 1
            joining.addBoth(self._done, queue, joining, client_key)
        return joining

    def _done(self, result: T, queue: _Queue, joining: Deferred[T], client_key: ClientKey) -> T:
        del queue.since[joining]
        queue.of_client[client_key] -= 1
        if not queue.of_client[client_key]:
            del queue.of_client[client_key]
        if not queue.since:
            del self._queues[client_key[0]]
        return result
