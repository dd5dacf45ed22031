"""The short turn of the reactor: what breaks in it costs one connection and no more, and what is due at once comes at once."""

import socket
from contextlib import suppress
from itertools import pairwise

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from cometify.runtime.epoll_loop import AT_ONCE, TOGETHER, LoopHooks, install_direct_poll
from cometify.runtime.tcp import MOST_ACCEPTED, EagerReactor, EagerServer


class Careless(Protocol):
    """Says what it got, and breaks where it is told to."""

    def dataReceived(self, data):
        if data == b"break":
            raise RuntimeError("broken")
        self.transport.write(data)


class Told(list):
    """The failures that were logged."""

    def __call__(self, event):
        if "log_failure" in event:
            self.append(event["log_failure"].getErrorMessage())


@pytest.fixture
def told():
    told = Told()
    globalLogPublisher.addObserver(told)
    yield told
    globalLogPublisher.removeObserver(told)


@pytest.fixture
def lines():
    lines = []

    def observe(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def reactor():
    reactor = EPollReactor()
    loop_hooks = install_direct_poll(reactor)
    reactor.call_soon, reactor.write_batch = loop_hooks.call_soon, loop_hooks.write_batch
    yield reactor
    for selectable in reactor.removeAll():
        selectable.connectionLost(Failure(ConnectionDone()))


def turns(reactor, until):
    for _ in range(1000):
        if until():
            return
        reactor.doIteration(0.01)
    pytest.fail("it did not come")


def test_who_breaks_is_cut_off_and_the_others_go_on(reactor, told):
    factory = Factory.forProtocol(Careless)
    port = EagerReactor(reactor).listenTCP(0, factory, interface="127.0.0.1")
    careless, other = (socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(2))
    with careless, other:
        for peer in (careless, other):
            peer.setblocking(False)
        careless.send(b"break")
        other.send(b"hello")
        heard = []

        def over():
            for peer in (careless, other):
                with suppress(BlockingIOError):
                    heard.append((peer, peer.recv(100)))
            return {peer for peer, _ in heard} == {careless, other}

        turns(reactor, over)
    assert dict(heard) == {careless: b"", other: b"hello"}
    assert told == ["broken"]


def test_what_is_due_at_once_is_done_in_this_turn_and_what_it_asks_for_in_the_next_without_waiting(reactor):
    done = []

    def first():
        done.append("first")
        reactor.call_soon(0, lambda: done.append("second"))

    reactor.call_soon(0, first)
    reactor.doIteration(60)
    assert done == ["first"]
    reactor.doIteration(60)
    assert done == ["first", "second"]


def test_what_breaks_when_it_is_due_keeps_nothing_else_from_being_done(reactor, told):
    done = []
    reactor.call_soon(0, lambda: 1 // 0)
    reactor.call_soon(0, lambda: done.append("other"))
    reactor.doIteration(0)
    assert done == ["other"]
    assert len(told) == 1


def test_an_answer_that_cannot_be_written_keeps_no_other_back(reactor, told):
    class Broken:
        def write(self, data):
            raise RuntimeError("broken")

    class Whole:
        written = b""

        def write(self, data):
            self.written += data

    whole = Whole()
    reactor.write_batch.put(Broken(), b"one")
    reactor.write_batch.put(whole, b"two")
    reactor.doIteration(0)
    assert whole.written == b"two"
    assert told == ["broken"]


def test_other_reactors_keep_their_turn():
    from twisted.internet.testing import MemoryReactorClock

    reactor = MemoryReactorClock()
    assert install_direct_poll(reactor) == LoopHooks(reactor.callLater)


def test_an_epoll_reactor_that_has_changed_keeps_its_turn_and_that_is_said(lines):
    reactor = EPollReactor()
    loop_hooks = reactor.doIteration
    del reactor._selectables
    assert install_direct_poll(reactor) == LoopHooks(reactor.callLater)
    assert reactor.doIteration == loop_hooks
    assert any("another epoll reactor" in line for line in lines)


class Asker(socket.socket):
    """A peer that has asked, and may have its answer."""

    def __init__(self, port):
        super().__init__()
        self.connect(("127.0.0.1", port.getHost().port))
        self.setblocking(False)

    @property
    def answered(self):
        try:
            return self.recv(100, socket.MSG_PEEK).startswith(b"answer")
        except BlockingIOError:
            return False


class Answering(Protocol):
    """Leaves its answers in the outbox."""

    def dataReceived(self, data):
        self.factory.before.append(sum(asker.answered for asker in self.factory.askers))
        self.factory.write_batch.put(self.transport, b"answer")


@pytest.fixture
def answering(reactor):
    factory = Factory.forProtocol(Answering)
    factory.write_batch, factory.askers, factory.before = reactor.write_batch, [], []
    port = EagerReactor(reactor).listenTCP(0, factory, interface="127.0.0.1")
    factory.askers += [Asker(port) for _ in range(TOGETHER + 4)]
    turns(reactor, lambda: len(reactor.getReaders()) > len(factory.askers))
    yield factory
    for asker in factory.askers:
        asker.close()


def test_answers_leave_together_when_what_there_is_has_been_read_but_no_later_than_after_so_many_reads(
    reactor, answering
):
    for asker in answering.askers:
        asker.send(b"question")
    reactor.doIteration(0)
    assert answering.before == [0] * TOGETHER + [TOGETHER] * 4
    assert all(asker.answered for asker in answering.askers)


def test_an_answer_that_was_given_outside_of_a_read_does_not_wait_for_one(reactor, answering):
    first, *_others = [reader for reader in reactor.getReaders() if isinstance(reader, EagerServer)]
    reactor.write_batch.put(first, b"answer")
    reactor.doIteration(0)
    assert sum(asker.answered for asker in answering.askers) == 1
    reactor.call_soon(0, lambda: reactor.write_batch.put(first, b"answer"))
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert sum(len(asker.recv(100)) for asker in answering.askers if asker.answered) == len(b"answer") * 2


def test_what_is_due_comes_between_many_that_come_at_once_and_each_of_these_has_its_turn(reactor):
    class Counted(Protocol):
        def dataReceived(self, data):
            read.append(data)

    read, before = [], []
    port = EagerReactor(reactor).listenTCP(0, Factory.forProtocol(Counted), interface="127.0.0.1")
    peers = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(3 * AT_ONCE)]
    turns(reactor, lambda: len(reactor.getReaders()) > len(peers))

    def due():
        before.append(len(read))
        reactor.call_soon(0, due)

    try:
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        due()
        turns(reactor, lambda: len(read) == len(peers))
    finally:
        for peer in peers:
            peer.close()
    assert len(set(read)) == len(peers)
    assert max(later - earlier for earlier, later in pairwise(before)) <= AT_ONCE


def test_who_is_there_is_read_while_many_wait_to_be_accepted(reactor):
    class Echo(Protocol):
        def dataReceived(self, data):
            read.append(len(reactor.getReaders()))

    read = []
    port = EagerReactor(reactor).listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    place = ("127.0.0.1", port.getHost().port)
    first = socket.create_connection(place)
    before = len(reactor.getReaders())
    turns(reactor, lambda: len(reactor.getReaders()) > before)
    port.numberAccepts = 10_000  # as it comes to be where thousands have come in each of many turns
    others = [socket.create_connection(place) for _ in range(4 * MOST_ACCEPTED)]
    try:
        first.send(b"hello")
        turns(reactor, lambda: read)
        assert read[0] <= before + 1 + MOST_ACCEPTED
        turns(reactor, lambda: len(reactor.getReaders()) == before + 1 + len(others))
    finally:
        for peer in (first, *others):
            peer.close()
