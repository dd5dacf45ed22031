"""The memory of all bodies that are not whole."""

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from cometify.http.long_bodies import LONG
from cometify.http.site import Endpoint, Site, Tree

KIB = 1024
MOST = 400 * KIB
HEAD = b"POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Lengths(Endpoint):
    """Answers with the length of the body."""

    methods = (b"POST",)

    def serve(self, request):
        request.answer(200, b"text/plain", b"%d" % len(request.body()))


class Everywhere(Tree):
    """One endpoint at all paths."""

    def find(self, path, /):
        return Lengths()


class Sender:
    """A connection on which a body comes in pieces."""

    def __init__(self, site, length=500 * KIB, in_chunks=False):
        self.in_chunks = in_chunks
        self.transport = StringTransport()
        self.transport.protocol = site.buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)
        self.transport.protocol.dataReceived(CHUNKED if in_chunks else HEAD % length)

    def send(self, size):
        data = b"x" * size
        self.transport.protocol.dataReceived(b"%x\r\n%b\r\n" % (size, data) if self.in_chunks else data)

    def lose(self):
        self.transport.protocol.connectionLost(Failure(ConnectionLost()))

    @property
    def is_cut(self):
        return self.transport.disconnected


@pytest.fixture
def site():
    return Site(Everywhere(), MemoryReactorClock(), most_in_bodies=MOST)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_long_bodies_are_bounded_together_and_the_oldest_goes(site, in_chunks):
    senders = [Sender(site, in_chunks=in_chunks) for _ in range(4)]
    for sender in senders:
        sender.send(90 * KIB)
    assert [sender.is_cut for sender in senders] == [False] * 4
    senders[3].send(60 * KIB)
    assert [sender.is_cut for sender in senders] == [True, False, False, False]
    assert site.idle.slow == 1
    senders[2].send(100 * KIB)
    assert [sender.is_cut for sender in senders] == [True, True, False, False]


@pytest.mark.parametrize("end", ["whole", "lost"])
def test_body_that_has_ended_makes_room(site, end):
    others = [Sender(site, 100 * KIB) for _ in range(20)]
    for sender in others:
        sender.send(99 * KIB)
        if end == "whole":
            sender.send(KIB)
            assert sender.transport.value().endswith(b"\r\n\r\n%d" % (100 * KIB))
        else:
            sender.lose()
    assert not any(sender.is_cut for sender in others)


def test_cut_connection_makes_room_once(site):
    senders = [Sender(site) for _ in range(10)]
    for sender in senders:
        sender.send(190 * KIB)
        for other in senders:
            if other.is_cut:
                other.lose()
    assert [sender.is_cut for sender in senders] == [True] * 8 + [False] * 2


def test_short_bodies_do_not_count(site):
    senders = [Sender(site) for _ in range(20)]
    for sender in senders:
        sender.send(LONG)
    long = Sender(site)
    long.send(MOST)
    assert not any(sender.is_cut for sender in [*senders, long])
