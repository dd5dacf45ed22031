"""The short turn of the reactor: what breaks in it costs one connection and no more, and what is due at once comes at once."""

import socket
from contextlib import suppress

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from cometify.net import EagerReactor
from cometify.turn import shorten


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
    reactor.soon = shorten(reactor)
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
        reactor.soon(0, lambda: done.append("second"))

    reactor.soon(0, first)
    reactor.doIteration(60)
    assert done == ["first"]
    reactor.doIteration(60)
    assert done == ["first", "second"]


def test_what_breaks_when_it_is_due_keeps_nothing_else_from_being_done(reactor, told):
    done = []
    reactor.soon(0, lambda: 1 // 0)
    reactor.soon(0, lambda: done.append("other"))
    reactor.doIteration(0)
    assert done == ["other"]
    assert len(told) == 1


def test_other_reactors_keep_their_turn():
    from twisted.internet.testing import MemoryReactorClock

    reactor = MemoryReactorClock()
    assert shorten(reactor) == reactor.callLater


def test_an_epoll_reactor_that_has_changed_keeps_its_turn_and_that_is_said(lines):
    reactor = EPollReactor()
    turn = reactor.doIteration
    del reactor._selectables
    assert shorten(reactor) == reactor.callLater
    assert reactor.doIteration == turn
    assert any("another epoll reactor" in line for line in lines)
