"""Connections with many requests at once share the turns of the reactor, and hold up nobody else."""

from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from cometify.http.fast_channel import TWISTED_COST
from cometify.http.site import Endpoint, Site, Tree
from cometify.http.turn_share import AT_ONCE

PLAIN = b"POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
ODD = b"POST /a/b HTTP/1.1\r\nHost: x\r\nX-Odd: \xe4\r\nContent-Length: 1\r\n\r\nx"


class Count(Endpoint):
    """Answers at once, and counts."""

    methods = (b"POST",)
    allows_fast_path = True

    def __init__(self) -> None:
        self.requests = 0

    def serve(self, request: Any) -> None:
        self.requests += 1
        request.answer(200, b"text/plain", b"")


class Same(Tree):
    """The same endpoint everywhere."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint = endpoint

    def find(self, path: Any, /) -> Any:
        return self.endpoint


class Turns(MemoryReactorClock):
    """A reactor of which one turn can be run: what a call asks for is done in the next turn."""

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)


class Peers:
    """Peers of one site."""

    def __init__(self, count: int) -> None:
        self.reactor, self.endpoint = Turns(), Count()
        self.site = Site(Same(self.endpoint), self.reactor)
        self.transports = [self.connect() for _ in range(count)]

    def connect(self) -> StringTransport:
        transport = StringTransport()
        transport.protocol = self.site.buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return transport

    def send_each(self, data: bytes) -> None:
        for transport in self.transports:
            transport.protocol.dataReceived(data)

    def turn(self) -> int:
        """Run one turn. Returns how many requests were answered in it."""
        before = self.endpoint.requests
        self.reactor.turn()
        return self.endpoint.requests - before


def answers(transport: StringTransport) -> int:
    return transport.value().count(b"HTTP/1.1 200")


@pytest.mark.parametrize("request_bytes", [PLAIN, ODD], ids=["plain", "odd"])
def test_many_peers_with_many_requests_share_a_turn(request_bytes):
    peers = Peers(10)
    peers.send_each(request_bytes * 500)
    most = AT_ONCE + 10 * TWISTED_COST
    assert peers.endpoint.requests <= most
    counts = [peers.turn() for _ in range(20)]
    assert min(counts) > 0
    assert max(counts) <= most
    shares = [answers(transport) for transport in peers.transports]
    assert max(shares) - min(shares) <= AT_ONCE, "all of them get about as much"


def test_request_that_comes_alone_is_answered_within_any_flood():
    peers = Peers(10)
    peers.send_each(PLAIN * 500)
    for _ in range(10):
        quiet = peers.connect()
        quiet.protocol.dataReceived(PLAIN)
        assert answers(quiet) == 1
        peers.turn()


def test_one_peer_alone_has_the_whole_turn():
    peers = Peers(1)
    peers.send_each(PLAIN * 500)
    assert [peers.turn() for _ in range(4)] == [AT_ONCE] * 4


def test_peer_has_the_whole_turn_again_when_the_others_are_done():
    peers = Peers(10)
    peers.send_each(PLAIN * 100)
    while peers.turn():
        pass
    assert [answers(transport) for transport in peers.transports] == [100] * 10
    last = peers.connect()
    last.protocol.dataReceived(PLAIN * 500)
    peers.turn()
    assert [peers.turn() for _ in range(3)] == [AT_ONCE] * 3
