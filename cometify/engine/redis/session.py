"""Being in touch with Redis: the connections, the way back to them, and noticing when nothing comes any more."""

import random
from typing import Any, Protocol

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.config.redis_url import RedisURL
from cometify.engine.redis.connection import Connector, RedisConnection

log = Logger()

ANSWER_WITHIN = 1.5
"""Seconds within which Redis answers a command. With it a publisher has its 503 within two."""
BEAT = 1.0
"""Seconds between two positions that a node says to itself over Redis."""
SILENCE = 3.2
"""Seconds without one after which the subscription is as good as lost: three beats."""
LOOK = 0.25
"""Seconds between two looks at what is late."""
SOON, LONGEST = 0.05, 2.0
"""Seconds of the first and the longest delay before connecting again, which chance shortens."""


class SessionOwner(Protocol):
    """Whoever is in touch by a `RedisSession`."""

    def connected(self) -> None:
        """The connections are there. Call `found` once everything is whole again."""

    def disconnected(self) -> None:
        """They are gone."""

    def heard(self, channel: bytes, text: bytes) -> None:
        """Something was published."""

    def beat(self) -> None:
        """It is time to say something to oneself."""


class RedisSession:
    """`commands`, `subscription` and `pushes` go to the same Redis, or are all None: if one is lost, all go.

    `apart`: pushes have a connection of their own, for while it waits for replicas nothing else on it is done. Otherwise
    `pushes` is `commands`.
    """

    def __init__(self, reactor: Any, location: RedisURL, who: SessionOwner, *, apart: bool) -> None:
        self._reactor = reactor
        self._location = location
        self._connector = Connector(reactor, location)
        self._who = who
        self.commands: RedisConnection | None = None
        self.subscription: RedisConnection | None = None
        self.pushes: RedisConnection | None = None
        self._connections: list[RedisConnection] = []
        self._count = 3 if apart else 2
        self._attempt = 0
        self._heard_at = 0.0
        self._retry: Any = None
        self._connecting: Deferred[Any] | None = None
        self._calls = ((task.LoopingCall(self._beat), BEAT), (task.LoopingCall(self._look), LOOK))
        self._running = False

    def start(self) -> None:
        """Reach Redis, and again whenever it is lost."""
        self._running = True
        for call, seconds in self._calls:
            call.clock = self._reactor
            call.start(seconds, now=False).addErrback(lambda failure: log.failure("The beat has stopped", failure))
        self._connect()

    def stop(self) -> None:
        """Let go of Redis."""
        self._running = False
        for call, _seconds in self._calls:
            if call.running:
                call.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self.reset("the server goes down")

    def _connect(self) -> None:
        self._retry = None
        connecting = self._connecting = self._connector.connect(self._count)
        connecting.addCallbacks(self._connected, self._not_connected)  # perhaps at once
        connecting.addErrback(lambda failure: log.failure("Redis could not be used", failure))

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if self._running:
            self._away(failure.getErrorMessage() or repr(failure.value))

    def _away(self, why: str) -> None:
        if self._attempt == 0:
            log.error("Redis ({where}) is away: {why}. Trying again.", where=str(self._location), why=why.rstrip("."))
        delay = random.random() * min(LONGEST, SOON * 2 ** min(self._attempt, 16))
        self._attempt += 1
        self._retry = self._reactor.callLater(delay, self._connect)

    def _connected(self, connections: list[RedisConnection]) -> None:
        self._connecting = None
        if not self._running:
            for connection in connections:
                connection.abort("the server goes down")
            return
        self._connections = connections
        self.commands, self.subscription, self.pushes = (
            connections[0],
            connections[1],
            connections[-1] if len(connections) > 2 else connections[0],
        )
        for connection in connections:
            connection.lost = self.reset
        self.subscription.heard = self._heard
        self._heard_at = self._reactor.seconds()
        self._who.connected()

    def found(self) -> None:
        """Everything is whole again."""
        if self._attempt:
            log.info("Redis ({where}) is there", where=str(self._location))
        self._attempt = 0

    def reset(self, why: str) -> None:
        """One connection is lost, or no good: all begins anew."""
        if self.commands is None:
            return
        connections, self._connections = self._connections, []
        self.commands = self.subscription = self.pushes = None
        for connection in connections:
            connection.lost = connection.heard = None
        self._who.disconnected()
        for connection in connections:
            connection.abort(why)
        if self._running:
            self._away(why)

    def broken(self, failure: Failure, of: RedisConnection | None = None) -> None:
        """The errback of what must not fail; `of`: the connection on which it did, where another may be there by now."""
        if self.commands is None or (of is not None and of is not self.commands):
            return
        if not isinstance(failure.value, Exception) or failure.check(AssertionError, KeyError, TypeError, ValueError):
            log.failure("What Redis said could not be used", failure)
        self.reset(failure.getErrorMessage())

    def _heard(self, channel: bytes, text: bytes) -> None:
        self._heard_at = self._reactor.seconds()
        self._who.heard(channel, text)

    def _look(self) -> None:
        if self.commands is None:
            return
        if max(connection.longest() for connection in self._connections) > ANSWER_WITHIN - LOOK:
            self.reset(f"no answer within {ANSWER_WITHIN} seconds")
        elif self._reactor.seconds() - self._heard_at > SILENCE:
            self.reset(f"nothing was heard over the subscription for {SILENCE} seconds")

    def _beat(self) -> None:
        if self.commands is not None:
            self._who.beat()
