"""Waiting for replicas (`redis_wait`): a push is published, and its publisher answered, once so many of them have it.

Until then it stands in a list of what is not said yet. So no listener ever has a push that a promoted replica never heard
of, and that would come a second time when its publisher sends it again.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from txredisapi import RedisError

from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.scripts import PUBLISH_CONFIRMED

WITHIN = 500
"""Milliseconds that replicas have. What is sent meanwhile waits behind it in Redis, so there is one at a time."""

Batch = dict[bytes, tuple[int, list["Deferred[None]"]]]


class ReplicaWait:
    """`replicas`: how many must have a push. `later(seconds, function)`: the reactor's callLater."""

    def __init__(self, replicas: int, later: Callable[[float, Callable[[], None]], object]) -> None:
        self.replicas = replicas
        self._later = later
        self._connection: RedisConnection | None = None
        self._next: Batch = {}
        self._waits = False

    def confirm(self, connection: RedisConnection, name: bytes, position: int) -> "Deferred[None]":
        """Fires once the replicas have all that was pushed to the account up to `position`, and it is published.

        Fails with `RedisError`. It must have been answered on this connection before.
        """
        if connection is not self._connection:  # what waited on another one has failed with it
            self._connection, self._next, self._waits = connection, {}, False
        confirmed: Deferred[None] = Deferred()
        highest, those = self._next.get(name, (0, []))
        self._next[name] = max(highest, position), [*those, confirmed]
        if not self._waits and len(self._next) == 1 and not those:
            self._later(0, lambda: self._wait(connection))
        return confirmed

    def _wait(self, connection: RedisConnection) -> None:
        if self._waits or connection is not self._connection or not self._next:
            return
        batch, self._next = self._next, {}
        self._waits = True
        answered = connection.execute_command(b"WAIT", self.replicas, WITHIN)
        answered.addCallback(self._answered, connection, batch)
        answered.addErrback(self._failed, batch)
        answered.addBoth(self._done, connection)

    def _answered(self, count: int, connection: RedisConnection, batch: Batch) -> "Deferred[Any]":
        if count < self.replicas:
            raise RedisError(f"{count} of {self.replicas} replicas have it after {WITHIN / 1000} seconds")
        said = []
        for name, (position, those) in batch.items():
            answered = connection.run(PUBLISH_CONFIRMED, name, position)
            answered.addCallbacks(_tell, _tell_failure, (those,), errbackArgs=(those,))
            said.append(answered)
        return defer.gatherResults(said)

    @staticmethod
    def _failed(failure: Any, batch: Batch) -> None:
        for _position, those in batch.values():
            _tell_failure(failure, those)

    def _done(self, _result: object, connection: RedisConnection) -> None:
        if connection is self._connection:
            self._waits = False
            self._wait(connection)


def _tell(_answer: object, those: list["Deferred[None]"]) -> None:
    for confirmed in those:
        confirmed.callback(None)


def _tell_failure(failure: Any, those: list["Deferred[None]"]) -> None:
    for confirmed in those:
        if not confirmed.called:
            confirmed.errback(failure)
