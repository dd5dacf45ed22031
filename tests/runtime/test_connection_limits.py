"""Connections of one address, and file descriptors in reserve: what is admitted, refused, counted and logged."""

import socket
from ipaddress import ip_network

import pytest
from twisted.internet import protocol
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import globalLogPublisher

from cometify.runtime.connection_limits import (
    LOG_EVERY,
    MOST_FOR_WEBHOOKS,
    MOST_IN_RESERVE,
    NO_LIMIT,
    ConnectionLimits,
    public_descriptors,
)
from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.spare_descriptor import SpareDescriptor
from tests.certificates import make_certificate
from tests.runtime.test_tcp import DefaultOpenSSLContextFactory

PROXY = (ip_network("192.0.2.0/24"),)


class Clock:
    now = 1000.0

    def seconds(self):
        return self.now


def limits(per_address=2, trusted=PROXY, descriptors=100, clock=None):
    return ConnectionLimits(per_address, trusted, descriptors, (clock or Clock()).seconds)


@pytest.fixture
def lines():
    found = []

    def observe(event):
        if event["log_namespace"] == "cometify.runtime.connection_limits":
            found.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize(
    ("hosts", "other"),
    [
        (["10.0.0.1"] * 3, "10.0.0.2"),
        (["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"], "::ffff:10.0.0.2"),
        (["2001:db8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:2:3:4:5:6"], "2001:db8:1:3::1"),
    ],
)
def test_address_has_so_many_connections_and_no_more(hosts, other):
    ours = limits()
    assert [ours.admits(host, 5) for host in hosts] == [True, True, False]
    assert ours.refused_address == 1
    assert ours.admits(other, 5)
    ours.closed(hosts[0])
    assert ours.admits(hosts[2], 5)
    assert not ours.admits(hosts[1], 5)


def test_closed_connections_leave_nothing_behind():
    ours = limits()
    for number in range(300):
        host = f"10.0.1.{number % 256}"
        assert ours.admits(host, 5)
        ours.closed(host)
    assert not ours._open


@pytest.mark.parametrize(("per_address", "host"), [(2, "192.0.2.9"), (0, "10.0.0.1")])
def test_trusted_proxies_and_a_limit_of_0_may_have_any_number(per_address, host):
    ours = limits(per_address)
    assert all(ours.admits(host, 5) for _ in range(50))
    ours.closed(host)


def test_descriptors_in_reserve_are_refused_to_everybody():
    ours = limits(descriptors=100)
    assert ours.admits("10.0.0.1", 99)
    assert not ours.admits("10.0.0.1", 100)
    assert not ours.admits("192.0.2.9", 100)
    assert (ours.refused_address, ours.refused_descriptors) == (0, 2)
    assert ours.admits("10.0.0.1", 99)


@pytest.mark.parametrize(
    ("most", "public"), [(1024, 896), (100_000, 100_000 - MOST_IN_RESERVE - MOST_FOR_WEBHOOKS), (200, 176)]
)
def test_public_ports_leave_a_part_of_the_descriptors(monkeypatch, most, public):
    monkeypatch.setattr("resource.getrlimit", lambda _which: (most, most))
    assert public_descriptors() == public


def test_no_limit_of_descriptors_is_a_high_one(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _which: (-1, -1))
    assert public_descriptors() > 10**6


def test_refused_connections_are_logged_once_a_minute(lines):
    clock = Clock()
    ours = limits(1, clock=clock)
    for _ in range(100):
        ours.admits("10.0.0.1", 5)
    clock.now += LOG_EVERY - 1
    ours.admits("10.0.0.1", 5)
    (line,) = lines
    assert "connections_per_ip" in line
    clock.now += 1
    ours.admits("10.0.0.1", 100)
    assert "Refused 100 connections" in lines[1]
    assert "LimitNOFILE" in lines[1]
    assert not any("10.0.0.1" in line for line in lines)


# Through a port.


class Greeter(protocol.Protocol):
    def connectionMade(self):
        self.transport.write(b"hello")


@pytest.fixture
def reactor():
    reactor = EPollReactor()
    yield reactor
    for reader in reactor.removeAll():
        reader.connectionLost(None) if not hasattr(reader, "client") else reader.socket.close()


def turn(reactor, times=20):
    for _ in range(times):
        reactor.iterate(0.005)


def connect(reactor, port, source, wrap=None):
    """Connect from an address. Returns the socket, and whether the server has closed it."""
    peer = socket.create_connection(("127.0.0.1", port), 5, (source, 0))
    turn(reactor)
    peer.setblocking(False)
    try:
        return peer, peer.recv(100) == b""
    except BlockingIOError:
        return peer, False
    except ConnectionResetError:
        return peer, True


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_connection_above_the_limit_is_closed_before_anything_is_read(reactor, kind, tmp_path):
    ours = limits(2, (), NO_LIMIT)  # the process of the tests has any number of descriptors
    eager = EagerReactor(reactor, limits=ours)
    factory = protocol.Factory.forProtocol(Greeter)
    if kind == "tls":
        make_certificate(tmp_path)
        context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
        port = eager.listenSSL(0, factory, context, 5, "127.0.0.1")
    else:
        port = eager.listenTCP(0, factory, 5, "127.0.0.1")
    number = port.getHost().port
    peers = [connect(reactor, number, source) for source in ("127.0.1.1", "127.0.1.1", "127.0.1.1", "127.0.1.2")]
    assert [closed for _peer, closed in peers] == [False, False, True, False]
    peers[0][0].close()
    turn(reactor)
    peers += [connect(reactor, number, "127.0.1.1") for _ in range(2)]
    assert [closed for _peer, closed in peers[4:]] == [False, True]
    for peer, _closed in peers:
        peer.close()
    turn(reactor)
    assert not ours._open
    port.stopListening()
    turn(reactor)


def test_factory_that_fails_or_declines_is_not_counted(reactor):
    ours = limits(1, ())

    class Declines(protocol.Factory):
        def buildProtocol(self, addr):
            return None

    port = EagerReactor(reactor, limits=ours).listenTCP(0, Declines(), 5, "127.0.0.1")
    for _ in range(3):
        peer, closed = connect(reactor, port.getHost().port, "127.0.1.1")
        assert closed
        peer.close()
    assert ours.refused_address == 0
    port.stopListening()
    turn(reactor)


def test_spare_descriptor_closes_the_connection_that_waits():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        spare = SpareDescriptor()
        for _ in range(3):
            with socket.create_connection(listening.getsockname(), 5) as peer:
                spare.accept_and_close(listening)
                assert peer.recv(1) == b""
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            spare.accept_and_close(listening)
        spare.close()
