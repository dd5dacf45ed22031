"""A connection to Redis: commands in flight, what is published, and how it is reached.

It is txredisapi's protocol with another middle. That reads numbers out of whatever looks like one and reads one reply in a
turn of the reactor, which a push of the text "007" and a thousand pushes a second do not survive.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from twisted.internet import defer
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure
from txredisapi import ConnectionError as NotConnected
from txredisapi import HiredisProtocol, RedisError, ResponseError

from cometify.config.redis_url import RedisURL
from cometify.engine.redis.scripts import Script

CONNECT_WITHIN = 1.5
"""Seconds to reach Redis, and for each answer on the way."""

Heard = Callable[[bytes, bytes], None]


class RedisConnection(HiredisProtocol):
    """`heard(channel, text)`: told of what is published. `lost(reason)`: told once that the connection is gone."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._reader = hiredis.Reader(protocolError=NotConnected, replyError=ResponseError)
        self._seconds = seconds
        self._waiting: deque[tuple[float, defer.Deferred[Any]]] = deque()
        self._subscribing: deque[tuple[int, defer.Deferred[None]]] = deque()
        self.heard: Heard | None = None
        self.lost: Callable[[str], None] | None = None
        self._why: str | None = None

    def connectionMade(self) -> None:
        """Nothing by itself: see `introduce`."""

    def __len__(self) -> int:
        """How many commands are in flight."""
        return len(self._waiting)

    def longest(self) -> float:
        """For how many seconds the oldest command has waited for its answer."""
        return self._seconds() - self._waiting[0][0] if self._waiting else 0.0

    def execute_command(self, *args: Any, **_options: Any) -> "defer.Deferred[Any]":
        """Send a command. Fails with `RedisError`."""
        if not self.connected:
            return defer.fail(NotConnected("Not connected"))
        reply: defer.Deferred[Any] = defer.Deferred()
        self._waiting.append((self._seconds(), reply))
        self._write(*args)
        return reply

    def _write(self, *args: Any) -> None:
        self.transport.write(hiredis.pack_command(args))

    def run(self, script: Script, name: bytes, *args: Any) -> "defer.Deferred[Any]":
        """Run a script on one account, whose state has this name."""
        answered = self.execute_command(b"EVALSHA", script.digest, 1, name, *args)
        return answered.addErrback(self._run_unknown, script, name, args)

    def _run_unknown(self, failure: Failure, script: Script, name: bytes, args: Any) -> Any:
        failure.trap(ResponseError)
        if not str(failure.value).startswith("NOSCRIPT"):
            return failure
        return self.execute_command(b"EVAL", script.source, 1, name, *args)

    def listen(self, channels: list[bytes]) -> "defer.Deferred[None]":
        """Subscribe. Fires when everything published from then on will be heard."""
        done: defer.Deferred[None] = defer.Deferred()
        self._subscribing.append((len(channels), done))
        self._write(b"SUBSCRIBE", *channels)
        return done

    def leave(self, channels: list[bytes]) -> None:
        """Unsubscribe."""
        self._write(b"UNSUBSCRIBE", *channels)

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        self._reader.feed(data)
        gets = self._reader.gets
        try:
            reply = gets()
            while reply is not False:
                self._replied(reply)
                reply = gets()
        except NotConnected as error:
            self.abort(f"what it said could not be understood ({error})")

    def _replied(self, reply: Any) -> None:
        if isinstance(reply, list) and self.heard is not None:
            kind = reply[0]
            if kind == b"message":
                self.heard(reply[1], reply[2])
                return
            if kind == b"subscribe":
                self._subscribed()
                return
            if kind == b"unsubscribe":
                return
        if not self._waiting:
            self.abort(f"it said something unasked ({reply})")  # an error, such as of a client it has had enough of
            return
        waiting = self._waiting.popleft()[1]
        if isinstance(reply, ResponseError):
            waiting.errback(reply)
        else:
            waiting.callback(reply)

    def _subscribed(self) -> None:
        left, done = self._subscribing[0]
        if left > 1:
            self._subscribing[0] = left - 1, done
        else:
            self._subscribing.popleft()
            done.callback(None)

    def abort(self, why: str) -> None:
        """End the connection at once."""
        self._why = why
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.connected = 0
        why = self._why or _reason(reason)
        waiting, self._waiting = self._waiting, deque()
        subscribing, self._subscribing = self._subscribing, deque()
        for _since, reply in waiting:
            reply.errback(NotConnected(why))
        for _left, done in subscribing:
            done.errback(NotConnected(why))
        if self.lost is not None:
            self.lost(why)


def _reason(lost: Failure) -> str:
    if lost.check(ConnectionDone):
        return "the connection was closed"
    return f"the connection was lost ({lost.getErrorMessage() or type(lost.value).__name__})"


class _RedisConnections(Factory):
    noisy = False

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def buildProtocol(self, addr: Any) -> Any:
        """A new link."""
        return RedisConnection(self._seconds)


class Connector:
    """Reaches the Redis of a location. `connect` gives links that are ready for use."""

    def __init__(self, reactor: Any, location: RedisURL) -> None:
        self._reactor = reactor
        self._location = location

    @defer.inlineCallbacks
    def connect(self, count: int) -> Any:
        """So many links to one Redis. Fails with `RedisError`, or with what an endpoint fails with."""
        location = self._location
        endpoint = self._endpoint(*(yield self._primary())) if location.service else self._straight()
        connections: list[RedisConnection] = []
        try:
            for _ in range(count):
                connections.append((yield self._open(endpoint)))
                yield self._within(self._introduce(connections[-1]), connections[-1])
        except Exception:
            for connection in connections:
                connection.abort("another connection could not be made")
            raise
        return connections

    def _straight(self) -> Any:
        location = self._location
        if location.path is not None:
            return UNIXClientEndpoint(self._reactor, location.path, timeout=CONNECT_WITHIN)
        return self._endpoint(*location.hosts[0])

    def _endpoint(self, host: str, port: int) -> Any:
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_WITHIN)
        if not self._location.tls:
            return endpoint
        return wrapClientTLS(optionsForClientTLS(host, _trust(self._location.ca)), endpoint)

    def _open(self, endpoint: Any) -> "defer.Deferred[RedisConnection]":
        return endpoint.connect(_RedisConnections(self._reactor.seconds))  # type: ignore[no-any-return]

    def _within(self, answered: "defer.Deferred[Any]", connection: RedisConnection) -> "defer.Deferred[Any]":
        """Wait for an answer, but not for ever: a Redis that is frozen accepts connections."""
        late = self._reactor.callLater(CONNECT_WITHIN, connection.abort, f"no answer within {CONNECT_WITHIN} seconds")

        def done(result: Any) -> Any:
            if late.active():
                late.cancel()
            return result

        return answered.addBoth(done)

    @defer.inlineCallbacks
    def _introduce(self, connection: RedisConnection) -> Any:
        location = self._location
        if location.password is not None:
            yield connection.auth(location.password, location.username)
        if location.database:
            yield connection.select(location.database)
        yield connection.ping()  # one that still loads its data says so

    @defer.inlineCallbacks
    def _primary(self) -> Any:
        """Where the Sentinels say that the primary is: the first that knows is believed."""
        why = "no Sentinel could be asked"
        for host, port in self._location.hosts:
            try:
                connection = yield self._open(self._endpoint(host, port))
            except Exception as error:  # noqa: BLE001 - endpoints fail with what they like
                why = f"the Sentinel {host}:{port} could not be reached ({error})"
                continue
            try:
                found = yield self._within(self._ask(connection), connection)
            except RedisError as error:
                why = f"the Sentinel {host}:{port} did not answer ({error})"
                continue
            finally:
                connection.transport.loseConnection()
            if found:
                return found[0].decode(), int(found[1])
            why = f"the Sentinel {host}:{port} knows no {self._location.service}"
        raise RedisError(why)

    @defer.inlineCallbacks
    def _ask(self, connection: RedisConnection) -> Any:
        if self._location.sentinel_password is not None:
            yield connection.auth(self._location.sentinel_password)
        return (yield connection.sentinel_get_master_addr_by_name(self._location.service))


def _trust(ca: str | None) -> Any:
    if ca is None:
        return None
    with open(ca, "rb") as file:  # noqa: PTH123 - read as any open file of certificates
        pems = file.read().split(b"-----END CERTIFICATE-----")
    end = b"-----END CERTIFICATE-----\n"
    return trustRootFromCertificates([Certificate.loadPEM(pem + end) for pem in pems if b"BEGIN" in pem])
