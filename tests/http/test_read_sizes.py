"""A read is short, except within a body of known length."""

import socket
from contextlib import suppress

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from cometify.http.site import Site
from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.tcp import LONG_READ, READ, EagerServer
from tests.http.test_fast_channel import CHUNKED, COUNTED, PLAIN, Echo, OneEndpoint

BODY = b"x" * (3 * LONG_READ)


class NotingReader:
    """A protocol that notes the sizes of its reads."""

    def __init__(self, protocol):
        self._protocol = protocol
        self.sizes = []

    def __getattr__(self, name):
        return getattr(self._protocol, name)

    def dataReceived(self, data):
        self.sizes.append(len(data))
        self._protocol.dataReceived(data)


class Connection:
    """A real connection to a site that echoes bodies."""

    def __init__(self, reactor):
        self.reactor = reactor
        self.received = b""
        site = Site(OneEndpoint(Echo()), reactor)
        port = EagerReactor(reactor).listenTCP(0, site, interface="127.0.0.1")
        self.peer = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.peer.setblocking(False)
        self.turns(self.eager_readers)
        (self.server,) = self.eager_readers()
        self.server.protocol = self.reader = NotingReader(self.server.protocol)

    def eager_readers(self):
        return [reader for reader in self.reactor.getReaders() if isinstance(reader, EagerServer)]

    def turns(self, until):
        for _ in range(1000):
            if until():
                return
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
        pytest.fail("not within 1,000 turns")

    def send(self, data):
        """Send all, and return the read sizes that the server had meanwhile. What it answers is read too."""
        sizes = set()
        for _ in range(1000):
            if not data:
                break
            with suppress(BlockingIOError):
                data = data[self.peer.send(data) :]
            for _ in range(3):
                self.reactor.runUntilCurrent()
                self.reactor.doIteration(0.001)
                sizes.add(self.server.read_size)
                self.read()
        assert not data
        return sizes

    def read(self):
        with suppress(BlockingIOError):
            self.received += self.peer.recv(1 << 20)

    def receive(self, end):
        """Read until the answers end like this."""

        def is_there():
            self.read()
            return self.received.endswith(end)

        self.turns(is_there)


@pytest.fixture
def connection():
    reactor = EPollReactor()
    made = Connection(reactor)
    yield made
    made.peer.close()
    # A connection that is not read from is no longer the reactor's.
    for selectable in {made.server, *reactor.removeAll()}:
        if selectable is not made.server or selectable.connected:
            selectable.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize(("request_with", "body"), [(COUNTED, BODY), (PLAIN, BODY[:60_000])])
def test_body_of_known_length_is_read_in_long_pieces_alone(connection, request_with, body):
    assert connection.server.read_size == READ
    assert max(connection.send(request_with % (len(body), body))) > LONG_READ / 2
    connection.receive(body)
    assert connection.server.read_size == READ
    assert connection.send(PLAIN % (3, b"end")) == {READ}
    connection.receive(b"end")


def test_chunks_are_read_in_short_pieces(connection):
    assert connection.send(CHUNKED % (b"40\r\n%b\r\n" % (b"x" * 64) * 1000 + b"0\r\n\r\n")) == {READ}
    connection.receive(b"x" * 64_000)


def test_pipelined_requests_are_read_in_short_pieces(connection):
    assert connection.send(PLAIN % (2, b"ab") * 2000) == {READ}


@pytest.mark.parametrize("request_with", [COUNTED, PLAIN])
def test_read_takes_no_further_requests_than_a_short_one(connection, request_with):
    body = BODY[:60_000]
    connection.send(request_with % (len(body), body) + PLAIN % (2, b"ab") * 1000)
    connection.receive(b"ab")
    reads = connection.reader.sizes
    assert max(reads) > LONG_READ / 2
    at = next(at for at in range(len(reads)) if sum(reads[: at + 1]) >= len(body))
    assert sum(reads[: at + 1]) <= len(request_with) + 5 + len(body) + READ
