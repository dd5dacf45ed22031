"""A site with a bound on its connections: a new one takes the place of the one that is idle the longest."""

import pytest
from twisted.internet.testing import MemoryReactorClock, StringTransport

from cometify.http.site import Endpoint, Site, Tree

REQUEST = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


class Now(Endpoint):
    """Answers at once."""

    def serve(self, request):
        request.answer(200, b"text/plain", b"now")


class Later(Endpoint):
    """Answers later."""

    def serve(self, request):
        pass


class Both(Tree):
    """Two endpoints."""

    def find(self, path, /):
        return Later() if path[0] == "later" else Now()


@pytest.fixture
def reactor():
    return MemoryReactorClock()


@pytest.fixture
def site(reactor):
    return Site(Both(), reactor, most_connections=3)


def connect(site, data=b""):
    transport = StringTransport()
    transport.protocol = site.buildProtocol(None)
    transport.protocol.makeConnection(transport)
    if data:
        transport.protocol.dataReceived(data)
    return transport


def cut(transports):
    return [transport.disconnected for transport in transports]


def test_new_connection_takes_the_place_of_the_longest_idle(site, reactor):
    transports = []
    for _ in range(3):
        transports.append(connect(site))
        reactor.advance(1)
        site.idle.tick()
    transports[0].protocol.dataReceived(REQUEST % b"now")
    assert transports[0].value().endswith(b"now")
    transports.append(connect(site))
    assert cut(transports) == [False, True, False, False]
    transports.append(connect(site))
    assert cut(transports) == [False, True, True, False, False]


def test_connection_whose_request_is_answered_is_not_idle(site, reactor):
    transports = [connect(site, REQUEST % b"later")]
    reactor.advance(5)
    site.idle.tick()
    transports += [connect(site) for _ in range(5)]
    assert cut(transports) == [False, True, True, True, False, False]


def test_longest_answer_makes_way_if_none_is_idle(site, reactor):
    transports = []
    for _ in range(3):
        transports.append(connect(site, REQUEST % b"later"))
        reactor.advance(1)
        site.idle.tick()
    transports.append(connect(site))
    assert cut(transports) == [True, False, False, False]
