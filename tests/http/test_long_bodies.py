"""The memory of all long bodies, until they are whole or answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from cometify.http.long_bodies import LONG, LONGEST, SMALL, LongBodies
from cometify.http.site import Endpoint, Site, Tree

KIB = 1024
SMALL_ROOM, LARGE_ROOM = 400 * KIB, 3 * LONGEST
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

    def __init__(self, site, length=200 * KIB, in_chunks=False, path=b"b", host="192.0.2.1"):
        self.length, self.sent = length, 0
        self.in_chunks = in_chunks
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", host, 5000))
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


def made_site(reactor):
    return Site(Everywhere(), reactor, bodies=LongBodies(reactor.callLater, SMALL_ROOM, LARGE_ROOM))


@pytest.fixture
def site(reactor):
    return made_site(reactor)


def finish(senders):
    for sender in senders:
        assert not sender.waits
        sender.send(sender.length)
        assert sender.is_answered


def test_small_bodies_are_bounded_and_the_later_ones_wait(site):
    senders = [Sender(site) for _ in range(4)]
    for sender in senders:
        sender.send(LONG)
        sender.send(KIB)
    assert states(senders) == "rrww"
    for at, expected in ((0, "rw"), (1, "rr")):
        finish([senders[at]])
        assert states(senders[2:]) == expected
    finish(senders[2:])
    assert site.idle.slow == 0


@pytest.mark.parametrize("in_chunks", [False, True])
def test_large_bodies_are_bounded_and_the_later_ones_wait(site, in_chunks):
    senders = [Sender(site, LONGEST, in_chunks) for _ in range(5)]
    for sender in senders:
        sender.send(100 * KIB)
    assert states(senders) == "rrrww"
    finish(senders)
    assert site.idle.slow == 0


def test_body_in_chunks_needs_room_for_the_longest_because_it_does_not_tell_its_length(site):
    senders = [Sender(site, 200 * KIB, in_chunks=True) for _ in range(4)]
    for sender in senders:
        sender.send(100 * KIB)
    assert states(senders) == "rrrw"
    finish(senders)


def test_body_that_is_longer_than_its_room_is_read_alone(site):
    long, short = Sender(site, SMALL), Sender(site, 100 * KIB)
    for sender in (long, short):
        sender.send(70 * KIB)
    assert states([long, short]) == "rw"
    finish([long, short])


def test_small_bodies_do_not_wait_for_large_ones(site):
    large = [Sender(site, LONGEST) for _ in range(10)]
    for sender in large:
        sender.send(100 * KIB)
    small = Sender(site, SMALL)
    small.send(100 * KIB)
    assert states([*large, small]) == "rrrwwwwwwwr"
    finish([small])


def test_waiting_bodies_keep_little(site):
    senders = [Sender(site, LONGEST) for _ in range(100)]
    while ready := [sender for sender in senders if not sender.waits and sender.sent < LONGEST - 1]:
        for sender in ready:
            sender.send(min(64 * KIB, LONGEST - 1 - sender.sent))
    assert sum(sender.sent for sender in senders) < LARGE_ROOM + 97 * 2 * LONG


def test_addresses_have_turns(site):
    """Who sends from many connections delays others by one body."""
    flood = [Sender(site, host="192.0.2.9") for _ in range(20)]
    honest = [Sender(site, host=f"192.0.2.{number}") for number in (1, 2)]
    for sender in [*flood, *honest]:
        sender.send(70 * KIB)
    assert states(flood) == "rr" + 18 * "w"
    finish(flood[:1])
    assert states(flood[2:4] + honest) == "rwww"
    finish(flood[1:2])
    assert states(flood[2:4] + honest) == "rwrw"
    finish(flood[2:3])
    assert states(flood[3:4] + honest) == "wrr"
    finish(honest[:1])
    assert states(flood[3:4] + honest[1:]) == "rr"


def kept(site, sizes):
    """Senders whose bodies are whole, and kept until they are answered."""
    senders = [Sender(site, size, path=b"later") for size in sizes]
    for sender in senders:
        sender.send(sender.length)
        assert not sender.is_answered
    return senders


def test_bodies_wait_for_those_that_are_kept(site, reactor):
    kept(site, [250 * KIB, 100 * KIB])
    first, second = [Sender(site, 180 * KIB) for _ in range(2)]
    for sender in (first, second):
        sender.send(70 * KIB)
    assert states([first, second]) == "ww"
    reactor.advance(60)
    assert states([first, second]) == "ww", "nobody is cut"
    site.resource.later.answer()
    assert states([first, second]) == "rw"
    site.resource.later.answer()
    assert states([first, second]) == "rr"
    finish([first, second])
    assert site.idle.slow == 0


def test_body_that_is_kept_needs_room_until_its_peer_is_lost(site):
    (gone, _there) = kept(site, [200 * KIB, 150 * KIB])
    waiting = Sender(site, 180 * KIB)
    waiting.send(90 * KIB)
    assert waiting.waits
    gone.lose()
    finish([waiting])


def test_connection_may_send_another_body_once_the_kept_one_is_answered(site):
    (sender,) = kept(site, [200 * KIB])
    for _ in range(3):
        site.resource.later.answer()
        assert sender.is_answered
        sender.transport.clear()
        sender.sent = 0
        sender.transport.protocol.dataReceived(HEAD % (b"later", sender.length))
        sender.send(sender.length)
    finish([Sender(site, 180 * KIB)])


BODIES = st.lists(st.tuples(st.integers(1, 3000), st.booleans(), st.integers(1, 3)), min_size=1, max_size=40)


@given(BODIES, st.randoms())
def test_honest_bodies_are_all_taken_within_the_bound(bodies, random):
    reactor = TickingReactor()
    site = made_site(reactor)
    senders = [Sender(site, kib * KIB, in_chunks, host=f"192.0.2.{host}") for kib, in_chunks, host in bodies]
    while senders:
        ready = [sender for sender in senders if not sender.waits]
        assert ready
        # In any order, but each in every half second, and faster than 1 MiB a second.
        random.shuffle(ready)
        for sender in ready:
            if not sender.waits:
                sender.send(1200 * KIB)
        assert sum(sender.sent for sender in senders if not (sender.waits or sender.is_answered)) <= (
            LARGE_ROOM + max(SMALL_ROOM, SMALL) + LONG * len(senders)
        )
        reactor.advance(0.5)
        assert not any(sender.is_cut for sender in senders)
        senders = [sender for sender in senders if not sender.is_answered]


def test_body_that_is_slow_while_others_wait_is_cut(site, reactor):
    slow, *others = senders = [Sender(site, 400 * KIB) for _ in range(3)]
    for sender in senders:
        sender.send(70 * KIB)
    assert states(senders) == "rww"
    for _ in range(4):
        slow.send(60 * KIB)
        reactor.advance(1)
        assert states(senders) == "rww"
    slow.send(40 * KIB)
    reactor.advance(1.25)
    assert states(senders) == "crw"
    finish(others)


def test_strangers_who_hold_bodies_back_delay_others_by_seconds(site, reactor):
    """Each of 100 connections announces the longest body, sends a little more than is free, and comes again if it is cut."""
    strangers = [Sender(site, LONGEST, host=f"192.0.2.{number % 5}") for number in range(100)]
    for sender in strangers:
        sender.send(70 * KIB)
    honest = [Sender(site, length, host="198.51.100.1") for length in (300 * KIB, 5 * SMALL)]
    for sender in honest:
        sender.send(70 * KIB)
    assert states(honest) == "rw"
    finish(honest[:1])
    for _ in range(6 * 4):
        reactor.advance(0.25)
        for at, sender in enumerate(strangers):
            if sender.is_cut:
                sender.lose()
                strangers[at] = Sender(site, LONGEST, host=f"192.0.2.{at % 5}")
                strangers[at].send(70 * KIB)
            elif not sender.waits:
                sender.send(50)
        if not honest[1].waits:
            break
    finish(honest[1:])


def test_process_that_stood_still_cuts_no_body(site, reactor):
    senders = [Sender(site, 190 * KIB) for _ in range(4)]
    for sender in senders:
        sender.send(95 * KIB)
    assert states(senders) == "rrww"
    MemoryReactorClock.advance(reactor, 60)
    finish(senders)


def test_slow_body_stays_while_there_is_room(site, reactor):
    slow = Sender(site)
    for _ in range(60):
        slow.send(2 * KIB)
        reactor.advance(1)
        site.idle.tick()
    finish([Sender(site)])
    assert not slow.is_cut


def test_time_stands_still_for_a_body_that_waits(site, reactor):
    first, second = Sender(site, SMALL), Sender(site)
    first.send(200 * KIB)
    second.send(100 * KIB)
    assert states([first, second]) == "rw"
    for _ in range(4):
        first.send(SMALL // 6)
        reactor.advance(1)
        site.idle.tick()
    assert not second.is_cut
    finish([first])
    reactor.advance(1)
    site.idle.tick()
    finish([second])


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


def test_body_that_is_lost_while_it_waits_is_forgotten(site):
    senders = [Sender(site) for _ in range(5)]
    for sender in senders:
        sender.send(70 * KIB)
    assert states(senders) == "rrwww"
    senders[2].lose()
    senders[3].lose()
    finish(senders[:1])
    assert not senders[4].waits


def test_body_whose_end_had_come_before_it_was_held_is_answered(site):
    senders = [Sender(site, 190 * KIB) for _ in range(3)]
    for sender in senders:
        sender.send(140 * KIB)
    assert states(senders) == "rrw"
    senders[2].send(50 * KIB)  # as TLS does, which decrypts a whole read
    assert senders[2].is_answered
    assert not senders[2].waits


def test_kept_body_whose_end_had_come_before_it_was_held_is_answered(site):
    senders = [Sender(site, 190 * KIB, path=b"later") for _ in range(3)]
    for sender in senders:
        sender.send(140 * KIB)
    senders[2].send(50 * KIB)
    assert not senders[2].is_answered
    site.resource.later.answer()
    assert senders[2].is_answered
    finish_later = Sender(site)
    finish_later.send(70 * KIB)
    assert finish_later.waits  # the first two still have their room


def test_short_bodies_need_no_room(site):
    senders = [Sender(site) for _ in range(20)]
    for sender in senders:
        sender.send(LONG)
    finish([Sender(site, SMALL)])
    assert not any(sender.is_cut or sender.waits for sender in senders)


@pytest.mark.parametrize("in_chunks", [False, True])
def test_bodies_that_are_refused_need_no_room(site, in_chunks):
    refused = [Sender(site, 500 * KIB, in_chunks, b"strict") for _ in range(4)]
    for sender in refused:
        sender.send(250 * KIB)
        sender.send(200 * KIB)
    taken = Sender(site, SMALL)
    taken.send(100 * KIB)
    assert states([*refused, taken]) == "rrrrr"
