"""Reaching Redis: endpoints, TLS, Sentinels, and the first commands of a connection."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS, trustRootFromCertificates
from txredisapi import RedisError

from cometify.config.redis_url import RedisURL
from cometify.engine.redis import trial
from cometify.engine.redis.connection import RedisConnection, Reply
from cometify.runtime.certificates import read_authorities
from cometify.runtime.reactor import Reactor

CONNECT_WITHIN = 1.5
"""Seconds to reach a Redis or a Sentinel, and then for each step until the connection can be used."""

T = TypeVar("T")


class _RedisConnections(Factory):
    noisy = False

    def __init__(self, make: Callable[[], RedisConnection]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> RedisConnection:
        return self._make()


class Connector:
    """Makes connections to the Redis that a URL names."""

    def __init__(self, reactor: Reactor, url: RedisURL) -> None:
        self._reactor = reactor
        self._url = url

    def connect(self, count: int) -> Deferred[list[RedisConnection]]:
        """Make `count` connections to one and the same Redis, all of them ready for commands.

        Fails with txredisapi's `RedisError`, or with whatever an endpoint fails with. Can be cancelled.
        """
        return Deferred.fromCoroutine(self._connect(count))

    def _make_connection(self) -> RedisConnection:
        return RedisConnection(self._reactor.seconds, self._reactor.callLater)

    async def _try_out(self, connection: RedisConnection) -> None:
        await trial.refuse_cluster(connection)
        await trial.check(connection)

    async def _connect(self, count: int) -> list[RedisConnection]:
        # Sentinels are asked once for all connections. Asked twice, they could name the old primary and the new one.
        endpoint = await self._find()
        connections: list[RedisConnection] = []
        try:
            for _ in range(count):
                connection = await self._open(endpoint)
                connections.append(connection)
                await self._within(Deferred.fromCoroutine(self._introduce(connection)), connection)
            await self._within(Deferred.fromCoroutine(self._try_out(connections[0])), connections[0])
        except BaseException:
            for connection in connections:
                connection.abort("another connection could not be made")
            raise
        return connections

    async def _find(self) -> IStreamClientEndpoint:
        if self._url.service:
            return self._endpoint(*(await self._primary()))
        if self._url.path is not None:
            return UNIXClientEndpoint(self._reactor, self._url.path, timeout=CONNECT_WITHIN)
        return self._endpoint(*self._url.hosts[0])

    def _endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=CONNECT_WITHIN)
        if not self._url.tls:
            return endpoint
        # Without a file the certificates of the system are trusted.
        trust_root = None if self._url.ca is None else trustRootFromCertificates(read_authorities(Path(self._url.ca)))
        return wrapClientTLS(optionsForClientTLS(host, trust_root), endpoint)

    def _open(self, endpoint: IStreamClientEndpoint) -> Deferred[RedisConnection]:
        return cast("Deferred[RedisConnection]", endpoint.connect(_RedisConnections(self._make_connection)))

    def _within(self, answered: Deferred[T], connection: RedisConnection) -> Deferred[T]:
        """Abort the connection unless the answer comes in time: a Redis that is frozen accepts connections too."""
        late = self._reactor.callLater(CONNECT_WITHIN, connection.abort, f"no answer within {CONNECT_WITHIN} seconds")

        def done(result: T) -> T:
            if late.active():
                late.cancel()
            return result

        return answered.addBoth(done)

    async def _introduce(self, connection: RedisConnection) -> None:
        url = self._url
        if url.password is not None:
            await connection.execute(b"AUTH", *([url.username] if url.username else []), url.password)
        if url.database:
            await connection.execute(b"SELECT", url.database)
        # A Redis that still loads its data from the disk answers this with an error.
        await connection.execute(b"PING")

    async def _primary(self) -> tuple[str, int]:
        """The host and port of the primary. The first Sentinel that knows it is believed."""
        why = "no Sentinel could be asked"
        for host, port in self._url.hosts:
            try:
                connection = await self._open(self._endpoint(host, port))
            except Exception as error:  # noqa: BLE001 - endpoints fail with errors of many kinds
                why = f"the Sentinel {host}:{port} could not be reached ({error})"
                continue
            try:
                found = await self._within(Deferred.fromCoroutine(self._ask(connection)), connection)
            except RedisError as error:
                why = f"the Sentinel {host}:{port} did not answer ({error})"
                continue
            finally:
                connection.transport.loseConnection()
            if found:
                name, number = cast("list[bytes]", found)
                return name.decode(), int(number)
            why = f"the Sentinel {host}:{port} knows no {self._url.service}"
        raise RedisError(why)

    async def _ask(self, connection: RedisConnection) -> Reply:
        if self._url.sentinel_password is not None:
            await connection.execute(b"AUTH", self._url.sentinel_password)
        return await connection.execute(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self._url.service or "")
