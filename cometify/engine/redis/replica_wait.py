"""Waiting for replicas (`redis_wait`): a push is published, and its publisher answered, once enough replicas have it.

Until then the push stands in a list of unconfirmed pushes in Redis. No listener ever has a push that a failover could
lose. Such a push would come a second time when its publisher, which got no answer, sends it again.

The theory of operation in `cometify.engine.redis` draws the timeline.
"""

from collections.abc import Callable
from functools import partial
from typing import cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.connection import NotSentError, RedisConnection, Reply
from cometify.engine.redis.scripts import PUBLISH_CONFIRMED
from cometify.runtime.reactor import Clock
from cometify.runtime.slices import SlicedWork

log = Logger()

WAIT_MILLISECONDS = 500
"""Time for the replicas. Commands on the same connection wait behind a WAIT, so that only one WAIT is sent at a time."""
LOOK_EVERY = 0.9
"""Seconds after which `look` sends a WAIT of its own. A little less than a beat."""
LOG_EVERY = 60.0
"""Seconds between two lines of the log while replicas are missing."""

MOST_ANSWERED = 50
"""Publishers that are answered in one turn of the event loop, at about 50 us each. Thousands can share a WAIT."""

Batch = dict[bytes, tuple[int, list["Deferred[None]"]]]
"""For the name of each account: the highest position to confirm, and the Deferreds of those who wait for it."""


class ReplicaWait:
    """`replicas`: the number that must have a push. `wrong(failure)`: called if Redis answers a WAIT with an error.

    `there`: the replicas that answered the last WAIT, None if no WAIT was answered on the present connection.
    """

    def __init__(self, replicas: int, reactor: Clock, wrong: Callable[[Failure], None]) -> None:
        self.replicas = replicas
        self.there: int | None = None
        self._call_soon = reactor.callLater
        self._seconds = reactor.seconds
        self._wrong = wrong
        self._answered_at = 0.0
        self._logged_at: float | None = (
            None  # when the log was last told that replicas are missing, None if they are there
        )
        self._answers: SlicedWork[Deferred[None]] = SlicedWork(reactor.callLater, repr, MOST_ANSWERED)
        self._connection: RedisConnection | None = None
        self._next: Batch = {}
        self._is_waiting = False

    @property
    def is_short(self) -> bool:
        """True while fewer replicas are there than a push needs, or nobody knows yet."""
        return self.replicas > 0 and (self.there is None or self.there < self.replicas)

    def look(self, connection: RedisConnection) -> None:
        """Find out how many replicas are there, unless a WAIT has just told. A server without pushes must know it too."""
        self._use(connection)
        if not self._is_waiting and (self.there is None or self._seconds() - self._answered_at >= LOOK_EVERY):
            self._send(connection)

    def _use(self, connection: RedisConnection) -> None:
        if connection is not self._connection:
            # No WAIT will be sent any longer for those who still wait on an earlier connection.
            batch, self._next = self._next, {}
            self._connection, self._is_waiting, self.there = connection, False, None
            self._failed(Failure(RedisError("the connection was lost")), batch)

    def confirm(self, connection: RedisConnection, name: bytes, position: int) -> "Deferred[None]":
        """Publish the account's unconfirmed pushes up to `position`, once the replicas have them.

        Fires when they are published. Fails with `RedisError`. The push at `position` must have been answered on this
        connection before, because WAIT covers the commands that came before it on its own connection.
        """
        self._use(connection)
        confirmed: Deferred[None] = Deferred()
        is_first = not self._next
        highest, waiting = self._next.get(name, (0, []))
        waiting.append(confirmed)
        self._next[name] = max(highest, position), waiting
        if is_first and not self._is_waiting:
            # In the next turn of the reactor, so that all pushes of this turn share one WAIT.
            self._call_soon(0, lambda: self._wait(connection))
        return confirmed

    def publish_unconfirmed(self, connection: RedisConnection, name: bytes, position: int) -> None:
        """Publish the account's unconfirmed pushes of any node up to `position`, once the replicas have them."""
        # WAIT covers what came before on its own connection, so that there must be a write on this one. A replica
        # that has this write has the pushes too, which came earlier on other connections.
        connection.execute(b"HSET", name + b":state", b"again", position).addErrback(lambda _failure: None)
        self.confirm(connection, name, position).addErrback(lambda _failure: None)

    def _wait(self, connection: RedisConnection) -> None:
        if not self._is_waiting and connection is self._connection and self._next:
            self._send(connection)

    def _send(self, connection: RedisConnection) -> None:
        """Send a WAIT for all who wait by now, or for nobody."""
        batch, self._next = self._next, {}
        self._is_waiting = True
        answered = connection.execute(b"WAIT", self.replicas, WAIT_MILLISECONDS)
        published = answered.addCallback(self._publish, connection, batch)
        published.addErrback(self._not_answered, connection).addErrback(self._failed, batch)
        published.addBoth(self._done, connection)

    def _publish(self, reply: Reply, connection: RedisConnection, batch: Batch) -> "Deferred[list[None]]":
        count = cast("int", reply)
        if connection is self._connection:
            self._note(count)
        if count < self.replicas:
            seconds = WAIT_MILLISECONDS / 1000
            raise RedisError(f"{count} of {self.replicas} replicas have the push after {seconds} seconds")
        published = []
        for name, (position, waiting) in batch.items():
            answered = connection.run(PUBLISH_CONFIRMED, name, position)
            answered.addCallbacks(self._fire, self._fail, (waiting,), errbackArgs=(waiting,))
            published.append(answered)
        return defer.gatherResults(published)

    def _note(self, count: int) -> None:
        self.there, self._answered_at = count, self._seconds()
        if count >= self.replicas:
            if self._logged_at is not None:
                log.info("Redis has {wanted} replicas again, so pushes are accepted", wanted=self.replicas)
            self._logged_at = None
        elif self._logged_at is None or self._answered_at - self._logged_at >= LOG_EVERY:
            self._logged_at = self._answered_at
            log.error(
                "{count} of {wanted} replicas of Redis answer, and redis_wait = {wanted}, so all pushes are refused. Start a "
                "replica, or lower redis_wait. To survive the loss of a Redis, {most} replicas are needed.",
                count=count,
                wanted=self.replicas,
                most=self.replicas + 1,
            )

    def _not_answered(self, failure: Failure, connection: RedisConnection) -> Failure:
        if failure.check(ResponseError) and connection is self._connection:
            self._wrong(failure)
        return failure

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
