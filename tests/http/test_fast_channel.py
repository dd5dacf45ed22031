"""A connection: requests are told apart exactly, whichever way each is read, and nothing is kept without a bound."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.http.connection_state import ABORT_AFTER
from cometify.http.fast_channel import MOST_EARLY, TWISTED_COST
from cometify.http.idle_timeout import REST_WITHIN
from cometify.http.site import IDLE, Endpoint, Site, Tree, take_over
from cometify.http.turn_share import AT_ONCE

PLAIN = b"POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
COUNTED = b"POST /a/b HTTP/1.1\r\nHost: x\r\nX-Odd: \xe4\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = b"POST /a/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b"
EMPTY = b"POST /a/b HTTP/1.1\r\nHost: x\r\nX-Odd: \xe4\r\n\r\n"


class Echo(Endpoint):
    """Answers with the body of the request, or with nothing while `waits`."""

    methods = (b"POST",)
    allows_fast_path = True
    waits = False

    def __init__(self):
        self.requests = []
        self.lost = []

    def serve(self, request):
        self.requests.append(request)
        request.when_gone(lambda: self.lost.append(request))
        if not self.waits:
            self.answer(request)

    def answer(self, request):
        request.answer(200, b"text/plain", request.body())


class OneEndpoint(Tree):
    """The same endpoint everywhere."""

    def __init__(self, endpoint):
        super().__init__()
        self.endpoint = endpoint

    def find(self, path, /):
        return self.endpoint


class Peer:
    """The other end of a connection to a site that has one endpoint."""

    def __init__(self, endpoint=None):
        self.endpoint = endpoint or Echo()
        self.clock = MemoryReactorClock()
        self.site = Site(OneEndpoint(self.endpoint), self.clock)
        self.transport = StringTransport()
        self.transport.protocol = self.site.buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)

    def send(self, data):
        """Send, and let the server do all that it does at once."""
        self.send_in_one_step(data)
        self.clock.advance(0)

    def send_in_one_step(self, data):
        self.transport.protocol.dataReceived(data)

    def pass_time(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
            self.site.idle.tick()

    def lose(self):
        self.transport.protocol.connectionLost(Failure(ConnectionLost()))

    def bodies(self):
        """The bodies of the answers so far."""
        rest, found = self.transport.value(), []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
            (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")]
            found.append(rest[:length])
            rest = rest[length:]
        return found


# Bytes that look like the end of a request, or like the beginning of the next one.
texts = st.lists(
    st.sampled_from([b"\r\n\r\n", b"\r\n", b"\r", b"0\r\n\r\n", b"x", b"GET / HTTP/1.1\r\n\r\n", b"a" * 300]),
    max_size=5,
).map(b"".join)


@st.composite
def chunked(draw):
    pieces = draw(st.lists(texts.filter(bool), max_size=3))
    extension, trailer = draw(st.sampled_from([(b"", b""), (b";a=b", b""), (b"", b"X-Trailer: a\r\n")]))
    body = b"".join([b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces])
    return CHUNKED % (b"%b0\r\n%b\r\n" % (body, trailer)), b"".join(pieces)


requests = st.one_of(
    texts.map(lambda text: (PLAIN % (len(text), text), text)),
    texts.map(lambda text: (COUNTED % (len(text), text), text)),
    st.just((EMPTY, b"")),
    st.just((b"\r\n" + EMPTY, b"")),
    chunked(),
)


@given(st.lists(requests, min_size=1, max_size=6), st.lists(st.integers(0, 2000), max_size=12))
def test_each_request_gets_its_own_body_however_it_is_cut(sent, cuts):
    peer = Peer()
    whole = b"".join([data for data, _text in sent])
    ends = sorted({cut for cut in cuts if 0 < cut < len(whole)})
    for start, end in zip([0, *ends], [*ends, len(whole)], strict=True):
        peer.send(whole[start:end])
    assert peer.bodies() == [text for _data, text in sent]
    assert not peer.transport.disconnecting


@given(st.lists(requests, min_size=1, max_size=4), st.lists(requests, max_size=2))
def test_late_answers_keep_the_order_and_later_requests_wait(sent, more):
    peer = Peer()
    peer.endpoint.waits = True
    peer.send(b"".join([data for data, _text in sent]))
    for data, _text in more:
        peer.send(data)
    texts = [text for _data, text in sent + more]
    for number in range(len(texts)):
        assert len(peer.endpoint.requests) == number + 1
        assert peer.bodies() == texts[:number]
        peer.endpoint.answer(peer.endpoint.requests[number])
        peer.clock.advance(0)
    assert peer.bodies() == texts


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_chunked_body_in_small_pieces_leaves_the_next_request(size):
    peer = Peer()
    data = CHUNKED % b"4\r\n\r\n\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + EMPTY
    for at in range(0, len(data), size):
        peer.send(data[at : at + size])
    assert peer.bodies() == [b"\r\n\r\nabc", b""]


WAYS = {"plain": PLAIN % (1, b"x"), "odd": COUNTED % (1, b"x"), "in chunks": CHUNKED % b"1\r\nx\r\n0\r\n\r\n"}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_answered_while_the_peer_does_not_read(way):
    peer = Peer()
    peer.send(WAYS[way])
    peer.transport.producer.pauseProducing()
    assert peer.transport.producerState == "paused"
    peer.send(WAYS[way] * 50)
    assert len(peer.endpoint.requests) == 1
    peer.transport.producer.resumeProducing()
    peer.clock.advance(0)
    assert peer.bodies() == [b"x"] * 51
    assert peer.transport.producerState == "producing"


@pytest.mark.parametrize("way", WAYS)
def test_many_requests_at_once_are_answered_in_bounded_steps(way):
    peer = Peer()
    peer.send_in_one_step(WAYS[way] * 1000)
    most = AT_ONCE if way == "plain" else AT_ONCE // TWISTED_COST
    assert 0 < len(peer.endpoint.requests) <= most
    assert peer.transport.producerState == "paused"
    peer.send_in_one_step(WAYS[way])
    assert len(peer.endpoint.requests) <= most
    peer.clock.advance(0)
    assert peer.bodies() == [b"x"] * 1001
    assert peer.transport.producerState == "producing"


@pytest.mark.parametrize("way", WAYS)
def test_early_bytes_are_bounded_while_a_request_is_answered(way):
    peer = Peer()
    peer.endpoint.waits = True
    peer.send(WAYS[way])
    for _ in range(MOST_EARLY // len(WAYS[way])):
        assert peer.transport.producerState == "producing"
        peer.send(WAYS[way])
    peer.send(WAYS[way])
    assert peer.transport.producerState == "paused"
    assert len(peer.endpoint.requests) == 1


@pytest.mark.parametrize("way", WAYS)
def test_lost_connection_is_told_to_the_request_that_waits(way):
    peer = Peer()
    peer.endpoint.waits = True
    peer.send(WAYS[way] * 2)
    (request,) = peer.endpoint.requests
    peer.lose()
    assert peer.endpoint.lost == [request]
    assert request.gone
    request.answer(200, b"text/plain", b"too late")
    assert peer.bodies() == []


@pytest.mark.parametrize("way", WAYS)
def test_connection_close_is_obeyed_and_later_bytes_are_dropped(way):
    peer = Peer()
    peer.send(WAYS[way].replace(b"Host: x", b"Host: x\r\nConnection: close") + WAYS[way])
    assert peer.transport.disconnecting
    peer.send(WAYS[way])
    assert b"Connection: close\r\n" in peer.transport.value()
    assert peer.bodies() == [b"x"]


@pytest.mark.parametrize(
    ("sent", "patience"),
    [(b"", IDLE - 10), *((sent, IDLE) for sent in WAYS.values())]
    + [(sent, REST_WITHIN) for sent in (b"POST", EMPTY[:-2], CHUNKED % b"5\r\nab", PLAIN % (5, b""))],
)
def test_idle_connection_is_closed_and_then_cut(sent, patience):
    peer = Peer()
    peer.pass_time(10)
    if sent:
        peer.send(sent)
    peer.pass_time(patience - 1)
    assert not peer.transport.disconnecting
    peer.pass_time(3)
    assert peer.transport.disconnecting
    assert not peer.transport.disconnected
    peer.pass_time(ABORT_AFTER)
    assert peer.transport.disconnected
    assert peer.site.idle.slow == (patience == REST_WITHIN)


@pytest.mark.parametrize("way", WAYS)
def test_waiting_request_is_never_idle(way):
    peer = Peer()
    peer.endpoint.waits = True
    peer.send(WAYS[way])
    peer.pass_time(IDLE * 3)
    assert not peer.transport.disconnecting
    peer.endpoint.answer(peer.endpoint.requests[0])
    peer.pass_time(IDLE - 2)
    assert not peer.transport.disconnecting
    peer.pass_time(4)
    assert peer.transport.disconnecting


@pytest.mark.parametrize("way", WAYS)
def test_peer_that_reads_slowly_is_not_idle(way):
    peer = Peer()
    peer.send(WAYS[way])
    peer.transport.producer.pauseProducing()
    peer.send(WAYS[way] * AT_ONCE * 5)
    for _ in range(3):
        peer.pass_time(IDLE - 5)
        peer.transport.producer.resumeProducing()  # and as many answers fill the transport again
        peer.transport.producer.pauseProducing()
    assert not peer.transport.disconnecting
    assert len(peer.endpoint.requests) < AT_ONCE * 5
    peer.pass_time(IDLE + 2)
    assert peer.transport.disconnecting


def test_closing_connection_whose_answer_is_not_read_is_cut():
    peer = Peer()
    peer.send(WAYS["odd"].replace(b"Host: x", b"Host: x\r\nConnection: close"))
    assert peer.transport.disconnecting
    peer.pass_time(IDLE + ABORT_AFTER + 3)
    assert peer.transport.disconnected


def test_lost_connection_leaves_no_call_to_cut_it():
    peer = Peer()
    peer.pass_time(IDLE + 2)
    peer.lose()
    assert peer.clock.getDelayedCalls() == []


class Successor:
    """The protocol that a connection is given to. Keeps all that it gets."""

    def __init__(self):
        self.got = b""

    def makeConnection(self, transport):
        self.transport = transport

    def dataReceived(self, data):
        self.got += data

    def connectionLost(self, reason):
        raise AssertionError("not in these tests")


class GivesAway(Echo):
    """Gives the connection away."""

    def serve(self, request):
        self.successor = Successor()
        take_over(request, self.successor, lambda: self.successor.dataReceived(b"begin,"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("behind", [b"", b"early", b"\r\n\r\nearly\r\n\r\n"])
def test_connection_is_given_away_with_the_bytes_behind(way, behind):
    peer = Peer(GivesAway())
    peer.send(WAYS[way] + behind)
    successor = peer.endpoint.successor
    assert successor.got == b"begin," + behind
    peer.transport.protocol.dataReceived(b",later")
    assert successor.got.endswith(b",later")
    assert peer.transport.producer is None
    assert peer.transport.producerState == "producing"
    peer.pass_time(IDLE * 2)
    assert not peer.transport.disconnecting


@pytest.mark.parametrize("way", WAYS)
def test_connection_given_away_reads_again(way):
    peer = Peer(GivesAway())
    peer.transport.producer.pauseProducing()  # the peer does not read yet
    peer.send(WAYS[way] + b"x" * MOST_EARLY)
    assert peer.transport.producerState == "paused"
    peer.transport.producer.resumeProducing()
    assert peer.transport.producerState == "producing"
    assert peer.endpoint.successor.got == b"begin," + b"x" * MOST_EARLY


@implementer(IPushProducer, IPullProducer)
class Pieces:
    """Writes an answer in pieces, as somebody's producer."""

    def __init__(self):
        self.calls = []

    def pauseProducing(self):
        self.calls.append("pause")

    def resumeProducing(self):
        self.calls.append("resume")

    def stopProducing(self):
        self.calls.append("stop")


def test_answer_in_pieces_is_paused_while_the_peer_does_not_read():
    class InPieces(Echo):
        def serve(self, request):
            self.pieces = Pieces()
            request.registerProducer(self.pieces, True)

    peer = Peer(InPieces())
    peer.send(EMPTY)
    producer = peer.transport.producer
    producer.pauseProducing()
    producer.resumeProducing()
    producer.stopProducing()
    assert peer.endpoint.pieces.calls == ["pause", "resume", "stop"]


class Late(Echo):
    """Answers later, and does not ask to be told when the peer leaves: a push with Redis is answered so."""

    def serve(self, request):
        self.requests.append(request)

    def answer_next(self):
        self.answer(self.requests.pop(0))


@pytest.mark.parametrize("first", [PLAIN, COUNTED], ids=["plain", "not plain"])
@pytest.mark.parametrize("last", [PLAIN, COUNTED], ids=["plain", "not plain"])
def test_half_closed_peer_gets_the_answers_to_all_it_sent(first, last):
    peer = Peer(Late())
    peer.send(first % (1, b"a") + PLAIN % (1, b"b") + last % (1, b"c"))
    peer.transport.protocol.readConnectionLost()
    for expected in ([b"a"], [b"a", b"b"], [b"a", b"b", b"c"]):
        assert not peer.transport.disconnecting
        peer.endpoint.answer_next()
        peer.clock.advance(0)
        assert peer.bodies() == expected
    assert peer.transport.disconnecting
    assert not peer.endpoint.requests


@pytest.mark.parametrize("cut", [PLAIN % (5, b"b"), COUNTED % (5, b"b"), b"POST /a", b"\xff"])
def test_request_that_a_half_closed_peer_cut_is_no_request(cut):
    peer = Peer(Late())
    peer.send(PLAIN % (1, b"a") + cut)
    peer.transport.protocol.readConnectionLost()
    peer.endpoint.answer_next()
    peer.clock.advance(0)
    assert peer.bodies() == [b"a"]
    assert peer.transport.disconnecting
    assert not peer.endpoint.requests
