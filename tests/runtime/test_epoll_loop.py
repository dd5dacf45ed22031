"""The shorter turn of the reactor: an error costs one connection only, and calls that are due are made in time."""

import socket
from contextlib import suppress
from itertools import pairwise

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from cometify.runtime.certificates import CertificateFiles, Certificates
from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.epoll_loop import (
    AT_ONCE,
    COSTLY,
    LONGEST_READS,
    LONGEST_WAIT,
    MOST_CHARGED,
    NOTICED,
    SHARE,
    TOGETHER,
    LoopHooks,
    install_direct_poll,
)
from cometify.runtime.tcp import MOST_ACCEPTED, EagerServer
from tests.certificates import Peer, make_key_pair
from tests.runtime.tls import client as tls_client


class Careless(Protocol):
    """Echoes, and raises when it is told to."""

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


class HandClock:
    """A clock that stands still until it is moved, or that moves by a step whenever somebody looks at it."""

    now = 1000.0
    step = 0.0

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def reactor():
    reactor = EPollReactor()
    reactor.hand_clock = HandClock()
    loop_hooks = install_direct_poll(reactor, reactor.hand_clock)
    reactor.call_soon, reactor.write_batch = loop_hooks.call_soon, loop_hooks.write_batch
    reactor.longest_turn = loop_hooks.longest_turn
    yield reactor
    for selectable in reactor.removeAll():
        selectable.connectionLost(Failure(ConnectionDone()))


def turns(reactor, until):
    for _ in range(1000):
        if until():
            return
        reactor.doIteration(0.01)
    pytest.fail("not within 1,000 turns")


def test_failed_read_closes_one_connection_only(reactor, told):
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


def test_due_call_is_made_this_turn_and_its_own_calls_the_next(reactor):
    done = []

    def first():
        done.append("first")
        reactor.call_soon(0, lambda: done.append("second"))

    reactor.call_soon(0, first)
    reactor.doIteration(60)
    assert done == ["first"]
    reactor.doIteration(60)
    assert done == ["first", "second"]


def test_failed_due_call_does_not_keep_the_others(reactor, told):
    done = []
    reactor.call_soon(0, lambda: 1 // 0)
    reactor.call_soon(0, lambda: done.append("other"))
    reactor.doIteration(0)
    assert done == ["other"]
    assert len(told) == 1


def test_answer_that_cannot_be_written_holds_up_no_other(reactor, told):
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


def test_changed_epoll_reactor_keeps_its_turn_and_is_logged(lines):
    reactor = EPollReactor()
    loop_hooks = reactor.doIteration
    del reactor._selectables
    assert install_direct_poll(reactor) == LoopHooks(reactor.callLater)
    assert reactor.doIteration == loop_hooks
    assert any("another epoll reactor" in line for line in lines)


class Asker(socket.socket):
    """A peer that waits for its answer."""

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
    """Leaves its answers in the batch, and notes before each how many peers have theirs."""

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


def test_answers_do_not_wait_for_long_reads(reactor, slowly):
    names = ("a", "b", "c")
    server = slowly(*names)

    class Noting:
        def write(self, data):
            noted.append((data, len(server.reads)))

    noted = []
    server.send(LONGEST_WAIT * 0.75, *names)
    reactor.write_batch.put(Noting(), b"before the reads")
    server.turn()
    server.send(LONGEST_WAIT * 0.75, *names)
    server.after_read = lambda count: count == 4 and reactor.write_batch.put(Noting(), b"after the first")
    server.turn()
    assert noted == [(b"before the reads", 0), (b"after the first", 5)]
    assert len(server.reads) == 6


def test_answers_of_a_batch_leave_after_at_most_sixteen_reads(reactor, answering):
    for asker in answering.askers:
        asker.send(b"question")
    turns(reactor, lambda: len(answering.before) == len(answering.askers))
    # A slow machine takes more than one turn, and answers leave at the end of a turn too.
    assert all(number - told < TOGETHER for number, told in enumerate(answering.before))
    assert len(set(answering.before)) < TOGETHER
    assert all(asker.answered for asker in answering.askers)


def test_answer_outside_of_a_read_does_not_wait_for_one(reactor, answering):
    first, *_others = [reader for reader in reactor.getReaders() if isinstance(reader, EagerServer)]
    reactor.write_batch.put(first, b"answer")
    reactor.doIteration(0)
    assert sum(asker.answered for asker in answering.askers) == 1
    reactor.call_soon(0, lambda: reactor.write_batch.put(first, b"answer"))
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert sum(len(asker.recv(100)) for asker in answering.askers if asker.answered) == len(b"answer") * 2


def test_due_calls_come_between_the_reads_of_many_clients(reactor):
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


def test_open_connection_is_read_while_many_wait_for_accept(reactor):
    class Echo(Protocol):
        def dataReceived(self, data):
            read.append(len(reactor.getReaders()))

    read = []
    port = EagerReactor(reactor).listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    place = ("127.0.0.1", port.getHost().port)
    first = socket.create_connection(place)
    before = len(reactor.getReaders())
    turns(reactor, lambda: len(reactor.getReaders()) > before)
    port.numberAccepts = 10_000  # Twisted raises it to that where thousands connect turn after turn
    others = [socket.create_connection(place) for _ in range(4 * MOST_ACCEPTED)]
    try:
        first.send(b"hello")
        turns(reactor, lambda: read)
        assert read[0] <= before + 1 + MOST_ACCEPTED
        turns(reactor, lambda: len(reactor.getReaders()) == before + 1 + len(others))
    finally:
        for peer in (first, *others):
            peer.close()


class Slow(Protocol):
    """Takes as many seconds as it is sent, and notes the peer of each read."""

    def connectionMade(self):
        self.factory.accepted += 1

    def dataReceived(self, data):
        name, seconds = data.split()[-1].split(b":")
        self.factory.reads.append(name.decode())
        self.factory.hand_clock.now += float(seconds)
        self.factory.server.after_read(len(self.factory.reads))


class Slowly:
    """Peers by name, and the reads of their connections in the order in which the server makes them."""

    def __init__(self, reactor, names):
        factory = Factory.forProtocol(Slow)
        factory.reads, factory.accepted, factory.hand_clock, factory.server = [], 0, reactor.hand_clock, self
        self.reads = factory.reads
        self.reactor = reactor
        port = EagerReactor(reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.peers = {name: socket.create_connection(("127.0.0.1", port.getHost().port)) for name in names}
        turns(reactor, lambda: factory.accepted == len(names))

    def after_read(self, count):
        """To be replaced: it is called after each read with the number of all reads."""

    def send(self, seconds, *names):
        for name in names:
            self.peers[name].send(f"{name}:{seconds} ".encode())

    def turn(self):
        """The reads of one turn."""
        before = len(self.reads)
        self.reactor.doIteration(0)
        return self.reads[before:]

    def until_read(self, count):
        """The reads of each turn that had any, until there were so many."""
        found = []
        for _ in range(100):
            found += filter(None, [self.turn()])
            if sum(map(len, found)) >= count:
                return found
        raise AssertionError(found)


CHEAP, DEAR = NOTICED / 10, COSTLY * 1.5


@pytest.fixture
def slowly(reactor):
    made = []

    def make(*names):
        made.append(Slowly(reactor, names))
        return made[-1]

    yield make
    for one in made:
        for peer in one.peers.values():
            peer.close()


def test_reads_that_took_too_long_leave_the_rest_in_order(slowly):
    server = slowly("a", "b", "c", "d")
    server.send(DEAR, "a", "b", "c", "d")
    found = server.until_read(4)
    assert [len(reads) for reads in found] == [1] * 4
    assert sorted(read for reads in found for read in reads) == ["a", "b", "c", "d"]


def test_cheap_connection_is_read_before_all_costly_ones(slowly):
    server = slowly("a", "b", "c", "good")
    server.send(DEAR, "a", "b", "c")
    server.until_read(3)
    for _ in range(3):
        server.send(DEAR, "a", "b", "c")
        server.send(CHEAP, "good")
        found = server.until_read(4)
        # Whatever was sent before it, it waits for no read at all.
        assert found[0][0] == "good"
        assert [len(reads) for reads in found] == [2, 1, 1]


def test_costly_by_a_little_is_read_before_costly_by_much(slowly):
    server = slowly("a", "b", "c", "good")
    for _ in range(4):
        server.send(DEAR, "a", "b", "c")
        server.until_read(3)
    server.send(2 * COSTLY, "good")
    server.until_read(1)
    for _ in range(3):
        server.send(DEAR, "a", "b", "c")
        server.send(CHEAP, "good")
        read = [name for reads in server.until_read(4) for name in reads]
        assert read.index("good") <= 1


def test_costly_by_much_is_read_while_others_are_costly_by_less(slowly):
    fresh = [f"n{number}" for number in range(10)]
    server = slowly("old", *fresh)
    for _ in range(5):
        server.send(DEAR, "old")
        server.until_read(1)
    server.send(COSTLY * 1.5, *fresh)
    server.until_read(len(fresh))
    server.send(CHEAP, "old")
    for _turn in range(len(fresh)):
        # They have far to go until they are as costly.
        server.send(LONGEST_WAIT * 0.75, *fresh)
        if "old" in server.turn():
            break
    else:
        pytest.fail(f"not read in {len(fresh)} turns")


def test_due_calls_do_not_wait_for_more_costly_reads(reactor, slowly):
    names = ("a", "b", "c")
    server = slowly(*names)
    server.send(2 * COSTLY, *names)
    server.until_read(3)
    # Two reads fit into one batch, and three into one turn.
    assert 2 * LONGEST_WAIT <= LONGEST_READS
    server.send(LONGEST_WAIT * 0.75, *names)
    assert len(server.turn()) == 3
    server.send(LONGEST_WAIT * 0.75, *names)
    made = []
    reactor.call_soon(0, lambda: made.append(len(server.reads)))
    assert len(server.turn()) == 2
    assert made == [8]
    assert len(server.turn()) == 1


def test_costly_connections_take_turns(slowly):
    names = ("a", "b", "c")
    server = slowly(*names)
    server.send(DEAR, *names)
    server.until_read(3)
    order = []
    for _ in range(12):
        # Each sends more before its turn comes: the kernel tells of all of them every time.
        server.send(DEAR, *names)
        (read,) = server.turn()
        order.append(read)
    assert all(order[at : at + 3].count(name) == 1 for at in range(0, 12, 3) for name in names)


def test_costly_connection_stays_so_through_its_cheap_reads(slowly):
    server = slowly("a", "good")  # "a" sends bodies, of which the last read is dear
    server.send(DEAR, "a")
    server.until_read(1)
    for _ in range(5):
        server.send(CHEAP, "a")
        server.until_read(1)
    server.send(CHEAP, "a")
    server.send(CHEAP, "good")
    assert server.turn() == ["good", "a"]


def test_connection_with_many_cheap_reads_becomes_costly(slowly):
    server = slowly("a", "good")
    for _ in range(int(COSTLY / (2 * NOTICED)) + 2):
        server.send(2 * NOTICED, "a")
        server.until_read(1)
    server.send(CHEAP, "a")
    server.send(CHEAP, "good")
    assert server.turn() == ["good", "a"]


def test_longest_turn_has_calls_and_timers_and_not_the_wait(reactor):
    clock = reactor.hand_clock

    def work(seconds):
        clock.now += seconds

    reactor.doIteration(0)
    reactor.longest_turn()
    reactor.call_soon(0, lambda: work(0.25))
    reactor.doIteration(0)
    work(0.5)  # timers run between two iterations
    reactor.doIteration(0)
    work(0.125)
    reactor.doIteration(0)
    assert reactor.longest_turn() == 0.75
    assert reactor.longest_turn() == 0.0


def test_costly_connection_is_cheap_again_once_it_has_paid(reactor, slowly):
    server = slowly("a", "b")
    server.send(DEAR, "b")
    server.until_read(1)
    for _ in range(1000):  # however much it took, it pays for 1.6 seconds
        server.send(DEAR, "a")
        server.until_read(1)
    reactor.hand_clock.now += (MOST_CHARGED - COSTLY) / SHARE + 0.01
    server.send(CHEAP, "a")
    server.until_read(1)
    server.send(DEAR, "b")
    server.until_read(1)
    server.send(CHEAP, "b")
    server.send(CHEAP, "a")
    assert server.turn() == ["a", "b"]


def test_connection_within_its_share_is_never_costly(reactor, slowly):
    server = slowly("a", "b")
    for _ in range(100):
        server.send(DEAR, "a")
        server.until_read(1)
        server.send(COSTLY / 2, "b")
        server.until_read(1)
        reactor.hand_clock.now += COSTLY / 2 / SHARE
    server.send(DEAR, "a")
    server.until_read(1)
    server.send(CHEAP, "a")
    server.send(CHEAP, "b")
    assert server.turn() == ["b", "a"]


def test_connection_that_closes_while_it_waits_is_forgotten(reactor, slowly):
    server = slowly("a", "b")
    server.send(DEAR, "a", "b")
    server.turn()
    for reader in list(reactor.getReaders()):
        if isinstance(reader, EagerServer):
            reader.abortConnection()
    for _ in range(3):
        reactor.runUntilCurrent()
        reactor.doIteration(0)
    assert len(server.reads) == 1
    other = slowly("c")
    other.send(CHEAP, "c")
    assert other.until_read(1)


def test_a_port_accepts_while_connections_are_costly(slowly):
    names = [f"n{number}" for number in range(6)]
    server = slowly(*names)
    for _ in range(2):
        server.send(DEAR, *names)
        server.until_read(6)
    server.send(DEAR, *names)
    late = slowly("late")  # it is accepted and read although six costly connections are ready
    late.send(CHEAP, "late")
    late.until_read(1)
    assert len(server.reads) < 18


class Hurried(Protocol):
    """Notes at its read how many clients have an answer to their hello."""

    def dataReceived(self, data):
        self.factory.answered = sum(client.answered for client in self.factory.clients)


class HelloClient(Asker):
    """A client that has sent its hello."""

    def __init__(self, port):
        super().__init__(port)
        self.sendall(Peer(tls_client()).hello())

    @property
    def answered(self):
        with suppress(BlockingIOError):
            return bool(self.recv(1, socket.MSG_PEEK))
        return False


def test_open_connection_is_read_before_many_handshakes(reactor, tmp_path):
    make_key_pair(tmp_path / "key.pem", tmp_path / "cert.pem")
    certificates = Certificates(CertificateFiles("ssl:443", tmp_path / "key.pem", tmp_path / "cert.pem"))
    ports = EagerReactor(reactor)
    tls = ports.listenSSL(0, Factory.forProtocol(Protocol), certificates, interface="127.0.0.1")
    hurried = Factory.forProtocol(Hurried)
    port = ports.listenTCP(0, hurried, interface="127.0.0.1")
    reactor.hand_clock.step = 0.001  # each read takes a millisecond
    hurried.clients, hurried.answered = [HelloClient(tls) for _ in range(40)], None
    good = Asker(port)
    before = len(reactor.getReaders())
    reactor.doIteration(0)  # accepts
    assert len(reactor.getReaders()) > before
    try:
        good.send(b"hello")
        turns(reactor, lambda: hurried.answered is not None)
        # The first turn does not know yet that handshakes are dear.
        assert hurried.answered <= LONGEST_READS / reactor.hand_clock.step + 2
        turns(reactor, lambda: all(client.answered for client in hurried.clients))
    finally:
        for peer in (good, *hurried.clients):
            peer.close()
