"""Waiting for replicas (`redis_wait`): a push is published, and its publisher answered, once enough replicas have it.

Until then the push stands in a list of unconfirmed pushes in Redis. No listener ever has a push that a failover could
lose. Such a push would come a second time when its publisher, which got no answer, sends it again.

The theory of operation in `cometify.engine.redis` draws the timeline.
"""

from functools import partial
from typing import cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import RedisError

from cometify.engine.redis.connection import NotSentError, RedisConnection, Reply
from cometify.engine.redis.scripts import PUBLISH_CONFIRMED
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork

WAIT_MILLISECONDS = 500
"""Time for the replicas. Commands on the same connection wait behind a WAIT, so that only one WAIT is sent at a time."""

MOST_ANSWERED = 50
"""Publishers that are answered in one turn of the event loop, at about 50 us each. Thousands can share a WAIT."""

Batch = dict[bytes, tuple[int, list["Deferred[None]"]]]
"""For the name of each account: the highest position to confirm, and the Deferreds of those who wait for it."""


class ReplicaWait:
    """`replicas`: the number that must have a push. `call_soon`: see `SlicedWork`."""

    def __init__(self, replicas: int, call_soon: CallSoon) -> None:
        self.replicas = replicas
        self._call_soon = call_soon
        self._answers: SlicedWork[Deferred[None]] = SlicedWork(call_soon, repr, MOST_ANSWERED)
        self._connection: RedisConnection | None = None
        self._next: Batch = {}
        self._is_waiting = False

    def confirm(self, connection: RedisConnection, name: bytes, position: int) -> "Deferred[None]":
        """Publish the account's unconfirmed pushes up to `position`, once the replicas have them.

        Fires when they are published. Fails with `RedisError`. The push at `position` must have been answered on this
        connection before, because WAIT covers the commands that came before it on its own connection.
        """
        if connection is not self._connection:
            # No WAIT will be sent any longer for those who still wait on an earlier connection.
            batch, self._next = self._next, {}
            self._connection, self._is_waiting = connection, False
            self._failed(Failure(RedisError("the connection was lost")), batch)
        confirmed: Deferred[None] = Deferred()
        is_first = not self._next
        highest, waiting = self._next.get(name, (0, []))
        waiting.append(confirmed)
        self._next[name] = max(highest, position), waiting
        if is_first and not self._is_waiting:
            # In the next turn of the reactor, so that all pushes of this turn share one WAIT.
            self._call_soon(0, lambda: self._wait(connection))
        return confirmed

    def _wait(self, connection: RedisConnection) -> None:
        if self._is_waiting or connection is not self._connection or not self._next:
            return
        batch, self._next = self._next, {}
        self._is_waiting = True
        answered = connection.execute(b"WAIT", self.replicas, WAIT_MILLISECONDS)
        published = answered.addCallback(self._publish, connection, batch)
        published.addErrback(self._failed, batch)
        published.addBoth(self._done, connection)

    def _publish(self, reply: Reply, connection: RedisConnection, batch: Batch) -> "Deferred[list[None]]":
        count = cast("int", reply)
        if count < self.replicas:
            seconds = WAIT_MILLISECONDS / 1000
            raise RedisError(f"{count} of {self.replicas} replicas have the push after {seconds} seconds")
        published = []
        for name, (position, waiting) in batch.items():
            answered = connection.run(PUBLISH_CONFIRMED, name, position)
            answered.addCallbacks(self._fire, self._fail, (waiting,), errbackArgs=(waiting,))
            published.append(answered)
        return defer.gatherResults(published)

    def _failed(self, failure: Failure, batch: Batch) -> None:
        if failure.check(NotSentError):
            failure = Failure(RedisError("the connection was lost"))  # the pushes were sent, and only the WAIT was not
        for _position, waiting in batch.values():
            self._fail(failure, waiting)

    def _done(self, _result: object, connection: RedisConnection) -> None:
        if connection is self._connection:
            self._is_waiting = False
            self._wait(connection)

    def _fire(self, _answer: object, waiting: "list[Deferred[None]]") -> None:
        self._answers.add("Answering publishers", waiting, lambda: _succeed, at_once=True)

    def _fail(self, failure: Failure, waiting: "list[Deferred[None]]") -> None:
        self._answers.add("Refusing publishers", waiting, lambda: partial(_fail_unless_answered, failure), at_once=True)


def _succeed(confirmed: "Deferred[None]") -> None:
    if not confirmed.called:
        confirmed.callback(None)


def _fail_unless_answered(failure: Failure, confirmed: "Deferred[None]") -> None:
    if not confirmed.called:
        confirmed.errback(failure)
