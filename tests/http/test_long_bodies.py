"""The memory of all bodies that are not whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from cometify.http.long_bodies import LONG, LONGEST
from cometify.http.site import Endpoint, Site, Tree

KIB = 1024
MOST = 400 * KIB
HEAD = b"POST /a/%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /a/%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Lengths(Endpoint):
    """Answers with the length of the body."""

    methods = (b"POST",)
    max_body = LONGEST

    def serve(self, request):
        request.answer(200, b"text/plain", b"%d" % len(request.body()))


class Strict(Lengths):
    """Takes short bodies only."""

    max_body = LONG


class Later(Lengths):
    """Keeps bodies, and answers the oldest request when it is told to."""

    def __init__(self):
        self.requests = []

    def serve(self, request):
        request.keep_body()
        self.requests.append((request, len(request.body())))
        request.forget_body()

    def answer(self):
        request, length = self.requests.pop(0)
        request.answer(200, b"text/plain", b"%d" % length)


class Everywhere(Tree):
    """Three endpoints."""

    def __init__(self):
        super().__init__()
        self.later = Later()

    def find(self, path, /):
        return {"strict": Strict(), "later": self.later}.get(path[1]) or Lengths()


class Sender:
    """A connection on which a body comes in pieces."""

    def __init__(self, site, length=500 * KIB, in_chunks=False, path=b"b"):
        self.length, self.sent = length, 0
        self.in_chunks = in_chunks
        self.transport = StringTransport()
        self.transport.protocol = site.buildProtocol(None)
        self.transport.protocol.makeConnection(self.transport)
        self.transport.protocol.dataReceived(CHUNKED % path if in_chunks else HEAD % (path, length))

    def send(self, size):
        size = min(size, self.length - self.sent)
        self.sent += size
        data = b"x" * size
        self.transport.protocol.dataReceived(b"%x\r\n%b\r\n" % (size, data) if self.in_chunks else data)
        if self.in_chunks and self.sent == self.length:
            self.transport.protocol.dataReceived(b"0\r\n\r\n")

    def lose(self):
        self.transport.protocol.connectionLost(Failure(ConnectionLost()))

    @property
    def is_cut(self):
        return self.transport.disconnected

    @property
    def waits(self):
        return self.transport.producerState == "paused"

    @property
    def is_answered(self):
        return self.transport.value().endswith(b"\r\n\r\n%d" % self.length)


def states(senders):
    return "".join("c" if sender.is_cut else "w" if sender.waits else "r" for sender in senders)


class TickingReactor(MemoryReactorClock):
    """A clock that is advanced in small steps, as a process that does not stand still sees it."""

    def advance(self, seconds):
        for _ in range(round(seconds * 16)):
            super().advance(1 / 16)


@pytest.fixture
def reactor():
    return TickingReactor()


@pytest.fixture
def site(reactor):
    return Site(Everywhere(), reactor, most_in_bodies=MOST)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_long_bodies_are_bounded_and_the_later_ones_wait(site, in_chunks):
    senders = [Sender(site, 200 * KIB, in_chunks) for _ in range(4)]
    for sender in senders:
        sender.send(95 * KIB)
    assert states(senders) == "rrrr"
    senders[3].send(25 * KIB)
    assert states(senders) == "rwww"
    senders[0].send(105 * KIB)
    assert senders[0].is_answered
    assert states(senders[1:]) == ("rww" if in_chunks else "rwr")  # one in chunks does not tell its rest
    for sender in senders[1:]:
        assert not sender.waits
        sender.send(sender.length)
        assert sender.is_answered
    assert site.idle.slow == 0


def kept(site, sizes):
    """Senders whose bodies are whole, and kept until they are answered."""
    senders = [Sender(site, size, path=b"later") for size in sizes]
    for sender in senders:
        sender.send(sender.length)
        assert not sender.is_answered
    return senders


@pytest.mark.parametrize("in_chunks", [False, True])
def test_bodies_wait_for_those_that_are_kept(site, reactor, in_chunks):
    kept(site, [250 * KIB, 100 * KIB])
    first, second = [Sender(site, 180 * KIB, in_chunks) for _ in range(2)]
    first.send(130 * KIB)
    second.send(70 * KIB)
    assert states([first, second]) == "ww", "even the oldest waits"
    reactor.advance(60)
    assert states([first, second]) == "ww", "nobody is cut"
    site.resource.later.answer()
    assert states([first, second]).count("r") == (0 if in_chunks else 1)  # one in chunks does not tell its rest
    site.resource.later.answer()
    assert states([first, second]).count("r") == (1 if in_chunks else 2)
    for sender in [first, second]:
        sender.send(sender.length)
        assert sender.is_answered
    assert site.idle.slow == 0


def test_body_that_is_kept_counts_until_its_peer_is_lost(site):
    (gone, _there) = kept(site, [200 * KIB, 150 * KIB])
    waiting = Sender(site, 180 * KIB)
    waiting.send(90 * KIB)
    assert waiting.waits
    gone.lose()
    assert not waiting.waits
    site.resource.later.answer()
    waiting.send(waiting.length)
    assert waiting.is_answered


def test_connection_may_send_another_body_once_the_kept_one_is_answered(site):
    (sender,) = kept(site, [200 * KIB])
    for _ in range(3):
        site.resource.later.answer()
        assert sender.is_answered
        sender.transport.clear()
        sender.sent = 0
        sender.transport.protocol.dataReceived(HEAD % (b"later", sender.length))
        sender.send(sender.length)
    others = [Sender(site, 180 * KIB)]
    others[0].send(180 * KIB)
    assert others[0].is_answered


@given(st.lists(st.tuples(st.integers(1, 600), st.booleans()), min_size=1, max_size=40), st.randoms())
def test_honest_bodies_are_all_taken_within_the_bound(bodies, random):
    reactor = TickingReactor()
    site = Site(Everywhere(), reactor, most_in_bodies=MOST)
    senders = [Sender(site, kib * KIB, in_chunks) for kib, in_chunks in bodies]
    while senders:
        ready = [sender for sender in senders if not sender.waits]
        assert ready
        # In any order, but each in every second: an honest sender does not stop.
        random.shuffle(ready)
        for sender in ready:
            if not sender.waits:
                sender.send(64 * KIB)
        held = sum(sender.sent for sender in senders if sender.sent > 128 * KIB and sender.sent < sender.length)
        assert held <= MOST + 600 * KIB
        reactor.advance(0.5)
        assert not any(sender.is_cut for sender in senders)
        senders = [sender for sender in senders if not sender.is_answered]


def test_stalled_bodies_go_first_and_only_as_many_as_needed(site, reactor):
    senders = [Sender(site) for _ in range(4)]
    for sender in (senders[1], senders[0], senders[2]):
        sender.send(90 * KIB)
        reactor.advance(0.6)
    senders[3].send(100 * KIB)
    assert states(senders) == "rrrr"
    senders[2].send(50 * KIB)
    assert states(senders) == "rcrr"  # without bytes for 1.8 s, and the one that began first for 1.2 s
    assert site.idle.slow == 1
    senders[3].send(80 * KIB)
    assert states(senders) == "ccrr"


def test_body_that_is_slow_while_others_wait_is_cut(site, reactor):
    slow, *others = senders = [Sender(site, 350 * KIB) for _ in range(3)]
    for sender in senders:
        sender.send(140 * KIB)
    assert states(senders) == "rww"
    for size in (20, 20, 20, 20, 5, 5, 5):
        reactor.advance(0.5)
        assert states(senders) == "rww"
        slow.send(size * KIB)
    reactor.advance(0.5)
    assert states(senders) == "crw"
    for sender in others:
        sender.send(sender.length)
        assert sender.is_answered


def test_process_that_stood_still_cuts_no_body(site, reactor):
    senders = [Sender(site, 150 * KIB) for _ in range(4)]
    for sender in senders:
        sender.send(95 * KIB)
    MemoryReactorClock.advance(reactor, 60)
    senders[3].send(25 * KIB)
    assert states(senders) == "rwww"
    MemoryReactorClock.advance(reactor, 60)
    for sender in senders:
        sender.send(sender.length)
        assert sender.is_answered


def test_slow_body_stays_while_there_is_room(site, reactor):
    slow = Sender(site)
    for _ in range(60):
        slow.send(2 * KIB)
        reactor.advance(1)
        site.idle.tick()
    fast = Sender(site, 200 * KIB)
    fast.send(200 * KIB)
    assert fast.is_answered
    assert not slow.is_cut


def test_time_stands_still_for_a_body_that_waits(site, reactor):
    first, second = Sender(site, LONGEST), Sender(site)
    first.send(200 * KIB)
    second.send(300 * KIB)
    assert states([first, second]) == "rw"
    for _ in range(200):
        first.send(max(KIB, first.sent // 50))
        reactor.advance(0.1)
        site.idle.tick()
        if first.is_answered:
            break
    assert not second.is_cut
    reactor.advance(1)
    assert states([second]) == "r"
    second.send(200 * KIB)
    assert second.is_answered


def test_body_with_the_shortest_rest_goes_first(site):
    first, long, short = senders = [Sender(site, size * KIB) for size in (200, 390, 120)]
    first.send(190 * KIB)
    long.send(200 * KIB)
    short.send(100 * KIB)
    assert states(senders) == "rww"
    new = Sender(site, 70 * KIB)
    new.send(66 * KIB)
    assert new.waits
    first.send(10 * KIB)
    assert states([long, short, new]) == "rrr"


@pytest.mark.parametrize("end", ["whole", "lost"])
def test_body_that_has_ended_makes_room(site, end):
    others = [Sender(site, 100 * KIB) for _ in range(20)]
    for sender in others:
        sender.send(99 * KIB)
        if end == "whole":
            sender.send(KIB)
            assert sender.is_answered
        else:
            sender.lose()
    assert not any(sender.is_cut or sender.waits for sender in others)


def test_body_that_is_lost_while_it_waits_makes_room(site):
    senders = [Sender(site, 200 * KIB) for _ in range(4)]
    for sender in senders:
        sender.send(110 * KIB)
    assert states(senders) == "rwww"
    senders[1].lose()
    senders[2].lose()
    assert states([senders[0], senders[3]]) == "rr"


def test_body_whose_end_had_come_before_it_was_held_is_answered(site):
    senders = [Sender(site, 150 * KIB) for _ in range(3)]
    for sender in senders:
        sender.send(140 * KIB)
    assert states(senders) == "rww"
    senders[2].send(10 * KIB)  # as TLS does, which decrypts a whole read
    assert senders[2].is_answered
    assert not senders[2].waits


def test_cut_connection_makes_room_once(site, reactor):
    senders = [Sender(site) for _ in range(10)]
    for sender in senders:
        sender.send(190 * KIB)
        for other in senders:
            if other.is_cut:
                other.lose()
        reactor.advance(1.5)
    assert states(senders) == "ccccccccrr"


def test_short_bodies_do_not_count(site):
    senders = [Sender(site) for _ in range(20)]
    for sender in senders:
        sender.send(LONG)
    long = Sender(site)
    long.send(MOST)
    assert not any(sender.is_cut or sender.waits for sender in [*senders, long])


@pytest.mark.parametrize("in_chunks", [False, True])
def test_bodies_that_are_refused_do_not_count(site, in_chunks):
    refused = [Sender(site, 500 * KIB, in_chunks, b"strict") for _ in range(4)]
    for sender in refused:
        sender.send(250 * KIB)
        sender.send(200 * KIB)
    taken = Sender(site)
    taken.send(MOST)
    assert states([*refused, taken]) == "rrrrr"
