"""Host names are looked up in threads that nobody waits for."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from zope.interface.verify import verifyObject

from cometify.runtime.name_lookup import LATE_FOR, LOOKUP_WITHIN, MOST_THREADS, NameLookup

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 6379))]
ADDRESS = IPv4Address("TCP", "192.0.2.7", 6379)


class Names:
    """A resolver that hangs until the test lets it answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Semaphore(0)
        self.answer: Any = FOUND

    def getaddrinfo(self, host: str, *_more: object, **_options: object) -> Any:
        self.asked.append(host)
        self.may_answer.acquire()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Reactor(MemoryReactorClock):
    """A clock that the test moves, and calls from threads that the test lets happen."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []

    def callFromThread(self, function: Callable[..., None], *args: object) -> None:
        self._calls.append(lambda: function(*args))

    def happen(self, count: int = 1) -> None:
        until = time.monotonic() + 10
        while len(self._calls) < count and time.monotonic() < until:
            time.sleep(0.001)
        for _ in range(count):
            self._calls.pop(0)()


class Receiver:
    def __init__(self) -> None:
        self.addresses: list[object] = []
        self.times_complete = 0

    def resolutionBegan(self, resolution: object) -> None:
        assert resolution is not None

    def addressResolved(self, address: object) -> None:
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        self.times_complete += 1


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.may_answer.release(100)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def lookup(reactor: Reactor, names: Names) -> NameLookup:
    return NameLookup(reactor, names.getaddrinfo)


def ask(lookup: NameLookup, host: str = "redis.example") -> Receiver:
    receiver = Receiver()
    lookup.resolveHostName(receiver, host, 6379)
    return receiver


def test_lookup_is_what_twisted_asks_for(lookup):
    assert verifyObject(IHostnameResolver, lookup)


def test_name_is_answered_with_its_addresses(lookup, names, reactor):
    receiver = ask(lookup)
    assert receiver.times_complete == 0
    names.may_answer.release()
    reactor.happen()
    assert receiver.addresses == [ADDRESS]
    assert receiver.times_complete == 1
    assert not reactor.getDelayedCalls()


def test_literal_addresses_need_no_thread(lookup, names):
    assert ask(lookup, "192.0.2.7").addresses == [ADDRESS]
    assert ask(lookup, "2001:db8::7").addresses == [IPv6Address("TCP", "2001:db8::7", 6379)]
    assert not names.asked


def test_unknown_name_has_no_addresses(lookup, names, reactor):
    receiver = ask(lookup)
    names.answer = socket.gaierror("unknown")
    names.may_answer.release()
    reactor.happen()
    assert (receiver.addresses, receiver.times_complete) == ([], 1)


def test_caller_waits_a_bounded_time_for_a_resolver_that_hangs(lookup, reactor):
    receiver = ask(lookup)
    reactor.advance(LOOKUP_WITHIN - 0.1)
    assert receiver.times_complete == 0
    reactor.advance(0.2)
    assert (receiver.addresses, receiver.times_complete) == ([], 1)


def test_next_caller_does_not_wait_for_the_lookup_that_hangs(lookup, names, reactor):
    ask(lookup)
    reactor.advance(LOOKUP_WITHIN)
    receiver = ask(lookup)
    assert len(names.asked) == 2
    names.may_answer.release()
    reactor.happen()
    assert receiver.addresses == [ADDRESS]


def test_answer_that_came_late_is_the_next_callers(lookup, names, reactor):
    """Name servers that always take longer than a caller waits are of use all the same."""
    ask(lookup)
    reactor.advance(LOOKUP_WITHIN)
    names.may_answer.release()
    reactor.happen()
    reactor.advance(LATE_FOR - 0.1)
    assert ask(lookup).addresses == [ADDRESS]
    assert ask(lookup).addresses == []  # it is given once


def test_late_answer_grows_old(lookup, names, reactor):
    ask(lookup)
    reactor.advance(LOOKUP_WITHIN)
    names.may_answer.release()
    reactor.happen()
    reactor.advance(LATE_FOR)
    assert ask(lookup).times_complete == 0


def test_threads_are_bounded_and_come_back(lookup, names, reactor):
    for _ in range(MOST_THREADS + 5):
        ask(lookup)
        reactor.advance(LOOKUP_WITHIN)
    assert len(names.asked) == MOST_THREADS
    receiver = ask(lookup)
    names.may_answer.release(MOST_THREADS)
    reactor.happen(MOST_THREADS)
    assert receiver.addresses == [ADDRESS]
    reactor.advance(LATE_FOR)
    ask(lookup)
    assert len(names.asked) == MOST_THREADS + 1


def test_threads_are_daemons(lookup, names):
    before = set(threading.enumerate())  # a thread of the test before may be about to end
    ask(lookup)
    (thread,) = set(threading.enumerate()) - before
    assert thread.name == "lookup redis.example"
    assert thread.daemon


def test_connecting_ends_when_the_resolver_hangs(lookup, reactor):
    reactor.nameResolver = lookup
    failed: list[Any] = []
    HostnameEndpoint(reactor, "redis.example", 6379).connect(Factory.forProtocol(Protocol)).addErrback(failed.append)
    reactor.advance(LOOKUP_WITHIN)
    (failure,) = failed
    assert failure.check(DNSLookupError)
