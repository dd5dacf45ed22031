"""Records in Redis, for several nodes.

Redis announces each change on a channel. An announcement can be missed while the connection is away, so the version is asked
for twice a second as well. Two scripts do the work, each in one atomic step: `lua/change.lua` and `lua/read.lua`.

The connections are not those of the pushes, because the accounts must be read before the first push can be taken.
"""

import random
import secrets
from collections.abc import Callable
from hashlib import sha1
from importlib.resources import files
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from cometify.accounts.store import Changes, StoreError, Version
from cometify.config.redis_url import RedisURL
from cometify.engine.redis.cluster.home_connector import HomeConnector
from cometify.engine.redis.cluster.slot_map import HOME
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.scripts import Script
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor

NAME = b"cometify:accounts"
"""The key of the records, but in a cluster. The keys of an account have braces, so that no API key leads here."""
ANSWER_WITHIN = 1.5
CHECK_EVERY = 0.25
LONGEST_DELAY = 1.0
"""Seconds within which Redis must answer, between two checks for that, and before the next attempt to connect."""


def _script(name: str) -> Script[Any]:
    source = (files(__package__) / "lua" / f"{name}.lua").read_bytes()
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest().encode())


CHANGE: Script[int] = _script("change")
READ: Script[list[Any]] = _script("read")
_LACKS = 2
"""The answer of `read.lua` that the store lacks a change that the reader knows."""


class RedisStore:
    """See `IAccountStore`."""

    look_every = 0.5

    def __init__(self, reactor: Reactor, url: RedisURL) -> None:
        self._reactor = reactor
        self._connector: Connector = Connector(reactor, url)
        self._name = NAME
        if url.cluster:
            self._connector, self._name = HomeConnector(reactor, url, self._lost), HOME + b":accounts"
        self._channel = f"cometify:{url.database}:accounts".encode()
        self._where = str(url)
        self._commands: RedisConnection | None = None
        self._subscription: RedisConnection | None = None
        self._connecting: Deferred[list[RedisConnection]] | None = None
        self._retry: IDelayedCall | None = None
        self._is_stopped = False
        self._why = "no connection yet"
        self._announced: Callable[[], None] = lambda: None
        self._task = PeriodicTask("checking that the Redis of the accounts answers", CHECK_EVERY, self._check, reactor)

    def start(self, announced: Callable[[], None]) -> None:
        self._announced = announced
        self._task.start()
        self._connect()

    def read_before_serving(self) -> None:
        """See `IAccountStore`: Redis can be asked only when the reactor runs."""

    def stop(self) -> None:
        self._is_stopped = True
        self._task.stop()
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._abort("the server goes down")

    # Connecting.

    def _connect(self) -> None:
        self._connecting = self._connector.connect(2)
        self._connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, connections: list[RedisConnection]) -> None:
        self._connecting = None
        self._commands, self._subscription = connections
        if self._is_stopped:
            self._abort("the server goes down")
            return
        for connection in connections:
            connection.lost = self._lost
        self._subscription.heard = lambda _channel, _version: self._announced()
        self._subscription.subscribe([self._channel]).addCallbacks(
            lambda _none: self._announced(), lambda _failure: None
        )

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        self._connect_later(failure.getErrorMessage() or repr(failure.value))

    def _lost(self, reason: str) -> None:
        if self._commands is not None:
            self._abort(reason)
            self._connect_later(reason)

    def _connect_later(self, reason: str) -> None:
        self._why = reason
        if not self._is_stopped:
            self._retry = self._reactor.callLater(random.random() * LONGEST_DELAY, self._connect)

    def _abort(self, reason: str) -> None:
        connections = self._commands, self._subscription
        self._commands = self._subscription = None
        for connection in connections:
            if connection is not None:
                connection.abort(reason)

    def _check(self) -> None:
        if self._commands is not None and self._commands.longest_wait() > ANSWER_WITHIN - CHECK_EVERY:
            self._lost(f"no answer within {ANSWER_WITHIN} seconds")

    # Reading and changing.

    def read(self, known: Version | None) -> Deferred[Changes | None]:
        known_parts = ("", -1, "") if known is None else (known.origin, known.number, known.mark)
        return self._run(READ, *known_parts).addCallback(_changes, known)

    def change(self, api_key: str, before: str | None, after: str | None) -> Deferred[bool]:
        changed = self._run(CHANGE, api_key, before or "", after or "", self._channel, secrets.token_hex(8))
        return changed.addCallback(lambda version: version != 0)

    def _run(self, script: Script[Any], *args: bytes | str | int) -> Deferred[Any]:
        if self._commands is None:
            return defer.fail(self._error(self._why))
        answered = self._commands.run(script, self._name, *args)
        return answered.addErrback(lambda failure: Failure(self._error(failure.getErrorMessage())))

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"Redis ({self._where}): {reason.rstrip('.')}")


def _changes(answer: list[Any], known: Version | None) -> Changes | None:
    if not answer:
        return None
    origin, number, mark, how_much, *rest = answer
    texts = [item.decode() for item in rest]
    version = Version(origin.decode(), int(number), mark.decode())
    records = dict(zip(texts[::2], [text or None for text in texts[1::2]], strict=True))
    return Changes(version, records, how_much > 0, known is not None and how_much == _LACKS)
