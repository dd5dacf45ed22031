"""The session with Redis: its connections, reconnecting, and noticing that Redis does not answer any longer."""

import random
import traceback
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.config.redis_url import RedisURL
from cometify.core.histogram import Histogram
from cometify.core.state_table import next_state
from cometify.engine.redis.absence import Absence, Loss
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.error_replies import in_words
from cometify.engine.redis.messages import Nonsense
from cometify.engine.redis.session_state import TRANSITIONS, Event, State
from cometify.engine.redis.slow_watch import SlowWatch
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor
from cometify.runtime.read_lag import ReadLag

log = Logger()
T = TypeVar("T")

ANSWER_WITHIN = 1.5
"""Seconds within which Redis must answer a command. A publisher then has its 503 within two seconds."""
BEAT = 1.0
"""Seconds between two messages that a node publishes to itself."""
SILENCE = 3.2
"""Seconds without any message after which the subscription counts as lost: three beats, and a little for the network."""
CHECK_EVERY = 0.25
"""Seconds between two checks for a late answer or a silent subscription."""
MOST_PATIENCE = 8.0
"""Most seconds that Redis gets on top of these times, because this process was busy and has read its answers late."""
FIRST_DELAY, LONGEST_DELAY = 0.05, 2.0
"""Bounds, in seconds, of the delay before reconnecting. It doubles with each attempt; a random part of it is waited."""


class SessionOwner(Protocol):
    """The part of the engine that a `RedisSession` calls."""

    def connected(self) -> None:
        """The connections are there. The owner catches up and then calls `RedisSession.caught_up`."""

    def disconnected(self) -> None:
        """The connections are gone. Called once for each `connected`."""

    def heard(self, channel: bytes, text: bytes) -> None:
        """A message was published on a channel of the subscription."""

    def beat(self) -> None:
        """Publish something to this node, so that its subscription is never silent. Called every second."""


class RedisSession:
    """`commands`, `subscription` and `pushes` are connections to the same Redis, or are all None.

    They are made together and closed together. A node that kept one of them could push to the new primary and listen
    to the old one after a failover.

    `separate_pushes`: pushes get a connection of their own, because Redis does nothing else on a connection while a
    WAIT for replicas is pending there. Otherwise `pushes` is `commands`. `latency`: seconds from a command to its reply, of all
    commands that do not stand behind a WAIT.
    """

    def __init__(
        self, reactor: Reactor, url: RedisURL, owner: SessionOwner, connector: Connector, *, separate_pushes: bool
    ) -> None:
        self._reactor = reactor
        self.absence = Absence(str(url), reactor.seconds)
        self._connector = connector
        self._owner = owner
        self.state = State.STOPPED
        self.latency = Histogram()
        self.commands: RedisConnection | None = None
        self.subscription: RedisConnection | None = None
        self.pushes: RedisConnection | None = None
        self._connections: list[RedisConnection] = []
        self._count = 3 if separate_pushes else 2
        self._read_lag = ReadLag(reactor, CHECK_EVERY)
        self._slow_watch = SlowWatch(str(url), self.latency, self._read_lag.take_mean, reactor.seconds)
        self._heard_at = 0.0
        self._retry: IDelayedCall | None = None
        self._connecting: Deferred[list[RedisConnection]] | None = None
        self._tasks = [
            PeriodicTask("publishing a beat to Redis", BEAT, self._beat, reactor),
            PeriodicTask("checking that Redis answers", CHECK_EVERY, self._check, reactor),
        ]

    @property
    def is_ready(self) -> bool:
        """True while pushes are taken and listeners can join."""
        return self.state is State.READY

    def _transition(self, event: Event) -> None:
        """Move to the next state. No other place assigns `state`."""
        self.state = next_state("Session with Redis", TRANSITIONS, self.state, event)

    def start(self) -> None:
        """Connect to Redis, and again whenever the session is lost."""
        self._transition(Event.STARTED)
        self._read_lag.start()
        for periodic in self._tasks:
            periodic.start()
        self._connect()

    def stop(self) -> None:
        """Close the connections. Everything that waits for an answer fails."""
        was_connected = self.commands is not None
        self._transition(Event.STOPPED)
        self._read_lag.stop()
        for periodic in self._tasks:
            periodic.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        if was_connected:
            self._disconnect("the server goes down")

    # Connecting.

    def _connect(self) -> None:
        self._retry = None
        connecting = self._connecting = self._connector.connect(self._count)
        connecting.addCallbacks(self._connected, self._not_connected)  # may call at once
        connecting.addErrback(lambda failure: log.failure("Redis cannot be used: connecting failed", failure))

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if self.state is not State.STOPPED:
            self._transition(Event.FAILED)
            self._retry_later(in_words(failure))

    def _retry_later(self, reason: str) -> None:
        delay = random.random() * min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.absence.tries, 16))
        self.absence.failed(reason)
        self._retry = self._reactor.callLater(delay, self._connect_again)

    def _connect_again(self) -> None:
        self._transition(Event.RETRIED)
        self._connect()

    def _connected(self, connections: list[RedisConnection]) -> None:
        self._connecting = None
        if self.state is State.STOPPED:
            # Cancelling was taken for the failure of a Sentinel, and the next one was asked.
            for connection in connections:
                connection.abort("the server goes down")
            return
        self._transition(Event.CONNECTED)
        self._connections = connections
        self.commands, self.subscription, self.pushes = (
            connections[0],
            connections[1],
            connections[-1] if len(connections) > 2 else connections[0],
        )
        for connection in connections:
            connection.lost = partial(self.reset, Loss.CLOSED)
        self.commands.latency = self.latency
        self.subscription.heard = self._heard
        self._heard_at = self._reactor.seconds()
        self._owner.connected()

    def caught_up(self) -> None:
        """All rings are complete again: the session is ready."""
        self._transition(Event.CAUGHT_UP)
        self.absence.over()

    # Losing the session.

    def missed_push(self) -> None:
        """Reset the session, because a push was missed and all must be read again."""
        self.reset(Loss.MISSED, "a push was missed")

    def reset(self, loss: Loss, reason: str) -> None:
        """Close all connections and connect again. Does nothing if they are closed already. `reason`: for the log."""
        if self.commands is None:
            return
        if self.is_ready:
            self.absence.losses[loss.value] += 1
        self._transition(Event.LOST)
        self._disconnect(reason)
        self._retry_later(reason)

    def _disconnect(self, reason: str) -> None:
        connections, self._connections = self._connections, []
        self.commands = self.subscription = self.pushes = None
        for connection in connections:
            connection.lost = connection.heard = None
        self._owner.disconnected()
        for connection in connections:
            connection.abort(reason)

    def reset_by(self, failure: Failure, connection: RedisConnection | None = None) -> None:
        """Errback: reset the session, because a command failed that must not fail.

        `connection`: the one on which the command failed. Does nothing if it belongs to an earlier session.
        """
        if self.commands is None or (connection is not None and connection is not self.commands):
            return
        loss = (
            Loss.ERROR if failure.check(ResponseError) else Loss.CLOSED if failure.check(RedisError) else Loss.NONSENSE
        )
        if not isinstance(failure.value, Exception) or failure.check(AssertionError, KeyError, TypeError, ValueError):
            log.failure("An answer of Redis could not be used; connecting again", failure)
        self.reset(loss, in_words(failure))

    def must(self, answered: Deferred[T], connection: RedisConnection) -> None:
        """Reset the session if this fails, because the rings would stay incomplete. `connection`: see `reset_by`."""
        answered.addErrback(self.reset_by, connection)

    def _heard(self, channel: bytes, text: bytes) -> None:
        self._heard_at = self._reactor.seconds()
        try:
            self._owner.heard(channel, text)
        except Nonsense as nonsense:
            # Another program may publish there. The text is not logged, because it can hold a push.
            self.reset(Loss.NONSENSE, f"a message on {channel.decode(errors='replace')} makes no sense ({nonsense})")
        except Exception as error:  # noqa: BLE001 - the rings may be incomplete, so all must be read again
            # Not `log.failure`, because the words of the error can repeat a push.
            fault = "A message of Redis was not handled, because of a fault in Cometify. Please report it.\n{traceback}"
            log.error(fault, traceback=_without_words(error))  # noqa: TRY400
            self.reset(Loss.NONSENSE, "a message could not be handled")

    def _check(self) -> None:
        # Redis may have answered, and this process was too busy to read it. It can be late twice: the process sends its
        # command late, and reads the answer late.
        patience = min(2 * self._read_lag.measure(), MOST_PATIENCE)
        if self.commands is None:
            return
        if max(connection.longest_wait() for connection in self._connections) > ANSWER_WITHIN - CHECK_EVERY + patience:
            self.reset(Loss.NO_ANSWER, f"no answer within {ANSWER_WITHIN} seconds")
        elif self._reactor.seconds() - self._heard_at > SILENCE + patience:
            self.reset(Loss.SILENT, f"nothing was heard over the subscription for {SILENCE} seconds")

    def _beat(self) -> None:
        self._slow_watch.look()
        if self.commands is not None:
            self._owner.beat()


def _without_words(error: Exception) -> str:
    """The traceback of an error, without its words, because they can repeat a push."""
    places = "".join(traceback.format_tb(error.__traceback__))
    return f"Traceback (most recent call last):\n{places}{type(error).__name__}"
