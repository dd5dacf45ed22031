"""The order of reads when many connections are ready: who pushes does not wait for the crowd, and nobody is forgotten."""

import math
import os
import resource
import socket
from contextlib import suppress

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from cometify.runtime import read_order
from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.epoll_loop import LONGEST_READS, TOGETHER, install_direct_poll
from cometify.runtime.left_peers import LOOK_AFTER, LeftPeers
from cometify.runtime.read_order import AT_MOST, CROWDED, LATE, LATE_IN_STORM
from cometify.runtime.sockets import prefer
from cometify.runtime.tcp import READ
from tests.calls import counted_c_calls, counted_python_calls

MANY = 4 * CROWDED
JOINS = b"POST /key/stream HTTP/1.1\r\n"
PUSHES = b"POST /key/push/chat HTTP/1.1\r\n"


class HandClock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self):
        return self.now


class Noted(Protocol):
    """Notes its reads. Each takes as long as a join."""

    def connectionMade(self):
        self.factory.server.accepted.append(self)

    def dataReceived(self, data):
        server = self.factory.server
        server.reads.append((self.transport.getPeer().port, data))
        server.clock.now += LONGEST_READS / 50
        server.after_read(self)

    def connectionLost(self, reason):
        self.factory.server.ended.append(self)


class Server:
    """A reactor with one port, and the peers that have connected to it."""

    def __init__(self):
        self.clock = HandClock()
        self.reactor = EPollReactor()
        self.call_soon = install_direct_poll(self.reactor, self.clock).call_soon
        self.reads, self.accepted, self.ended, self.peers = [], [], [], []
        factory = Factory.forProtocol(Noted)
        factory.server = self
        self.port = EagerReactor(self.reactor).listenTCP(0, factory, interface="127.0.0.1")

    def after_read(self, protocol):
        """To be replaced: it is called in each read."""

    def connect(self, count=1):
        """Connect peers, and return them."""
        made = [socket.create_connection(("127.0.0.1", self.port.getHost().port)) for _ in range(count)]
        self.peers += made
        self.until(lambda: len(self.accepted) == len(self.peers))
        return made

    def protocol_of(self, peer):
        port = peer.getsockname()[1]
        return next(protocol for protocol in self.accepted if protocol.transport.getPeer().port == port)

    def until(self, done):
        for _ in range(1000):
            if done():
                return
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0.01)
        pytest.fail("not within 1,000 turns")

    def turn(self):
        """The peers whose connections are read in a turn, by their ports."""
        before = len(self.reads)
        self.reactor.doIteration(0)
        return [port for port, _data in self.reads[before:]]

    def close(self):
        for peer in self.peers:
            peer.close()
        # A paused connection is not known to the reactor.
        open_ones = {protocol.transport for protocol in self.accepted if protocol not in self.ended}
        for selectable in open_ones | set(self.reactor.removeAll()):
            selectable.connectionLost(Failure(ConnectionDone()))


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def ports_of(peers):
    return [peer.getsockname()[1] for peer in peers]


def test_one_that_has_pushed_does_not_wait_for_the_crowd(server):
    crowd, (publisher,) = server.connect(MANY), server.connect()
    prefer(server.protocol_of(publisher).transport)
    for peer in (*crowd, publisher):
        peer.send(JOINS)
    assert server.turn()[0] == publisher.getsockname()[1]


def test_first_push_of_a_connection_does_not_wait_for_the_crowd(server):
    crowd, (publisher,) = server.connect(MANY), server.connect()
    for peer in crowd:
        peer.send(JOINS)
    server.turn()
    publisher.send(PUSHES)
    assert server.turn()[0] == publisher.getsockname()[1]
    server.until(lambda: len(server.reads) == MANY + 1)


@pytest.mark.parametrize("pieces", [(PUSHES + b"x" * READ,), (PUSHES + b"x" * 5 * READ,), (PUSHES, b"x" * 20)])
def test_first_push_that_is_long_does_not_wait_for_the_crowd(server, pieces):
    crowd, (publisher,) = server.connect(4 * MANY), server.connect()
    for peer in crowd:
        peer.send(JOINS)
    server.turn()
    for piece in pieces:
        publisher.send(piece)
        server.turn()
    size, port = sum(map(len, pieces)), publisher.getsockname()[1]
    server.until(lambda: sum(len(data) for sender, data in server.reads if sender == port) == size)
    assert len(server.reads) < 2 * MANY


def test_connection_of_the_crowd_is_taken_out_once(server):
    """Each join asks for a call at the end of its turn, so that a turn reads one batch of the crowd."""
    server.after_read = lambda _protocol: server.call_soon(0, lambda: None)
    for peer in server.connect(MANY):
        peer.send(JOINS)
    with counted_c_calls() as calls:
        server.until(lambda: len(server.reads) == MANY)
    assert 0 < calls["popitem"] <= MANY
    assert calls["move_to_end"] < AT_MOST, "only the first that were to be read at once are put back"


def test_crowd_is_looked_at_once(server):
    for peer in server.connect(MANY):
        peer.send(JOINS)
    with counted_c_calls() as calls:
        server.until(lambda: len(server.reads) == MANY)
    assert calls["recv"] <= 2 * MANY


def test_frames_that_could_not_be_sent_do_not_wait_for_the_crowd(server):
    crowd, (slow,) = server.connect(MANY), server.connect()
    transport = server.protocol_of(slow).transport
    for peer in crowd:
        peer.send(JOINS)
    slow.send(JOINS)
    server.turn()  # It waits in the crowd.
    transport.write(b"x" * 8_000_000)
    unsent = transport.unsent
    assert unsent
    slow.setblocking(False)
    with suppress(BlockingIOError):
        while slow.recv(8_000_000):
            pass
    server.turn()
    server.turn()
    assert transport.unsent < unsent


class Writer(FileDescriptor):
    """Writes to a pipe for ever."""

    ended = False

    def __init__(self, reactor, descriptor):
        super().__init__(reactor)
        self.descriptor = descriptor

    def fileno(self):
        return self.descriptor

    def doWrite(self):
        with suppress(BlockingIOError):
            os.write(self.descriptor, b"x" * 65_536)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.ended = True


def test_writer_whose_reader_has_gone_is_ended(server):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        writer = Writer(server.reactor, writing)
        writer.startWriting()
        for _ in range(5):
            server.turn()
        os.close(reading)
        for peer in server.connect(MANY):
            peer.send(JOINS)
        server.until(lambda: writer.ended)
        assert len(server.reads) < 2 * MANY
    finally:
        os.close(writing)


def test_crowd_is_read_in_the_order_of_its_arrival(server):
    crowd = server.connect(MANY)
    for peer in crowd:
        peer.send(JOINS)
    server.until(lambda: len(server.reads) == MANY)
    assert [port for port, _data in server.reads] == ports_of(crowd)


def test_crowd_does_not_starve_while_others_push(server):
    crowd, publishers = server.connect(MANY), server.connect(2 * TOGETHER)
    for publisher in publishers:
        prefer(server.protocol_of(publisher).transport)
    for peer in crowd:
        peer.send(JOINS)
    seen = set()
    for _ in range(MANY // TOGETHER + 2):
        for publisher in publishers:
            publisher.send(PUSHES)
        server.clock.now += 1  # The time of turns that end, in which connections that were costly become cheap.
        seen |= set(server.turn())
    assert set(ports_of(crowd)) <= seen


def test_push_does_not_wait_for_those_who_push_much(server):
    """An account that floods from many connections pushes too. Its reads are longer, and none of them is costly yet."""
    many, (good,) = server.connect(AT_MOST - 1), server.connect()
    for protocol in server.accepted:
        prefer(protocol.transport)
        protocol.transport.paid_until = server.clock.now + 0.1
    server.protocol_of(good).transport.paid_until = 0.0
    for peer in (*many, good):
        peer.send(PUSHES)
    assert good.getsockname()[1] in server.turn()[:2]


def test_nobody_is_accepted_while_too_many_wait(server, monkeypatch):
    monkeypatch.setattr(read_order, "FEW", TOGETHER)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (4 * TOGETHER, 4 * TOGETHER))
    for peer in server.connect(MANY):
        peer.send(JOINS)
    server.turn()
    late = socket.create_connection(("127.0.0.1", server.port.getHost().port))
    server.peers.append(late)
    for _ in range(3):
        server.turn()
    assert len(server.accepted) == MANY
    late.send(JOINS)
    server.until(lambda: len(server.reads) == MANY + 1)


def queued(server, count):
    """Connect peers, and do not wait until they are accepted."""
    for _ in range(count):
        server.peers.append(socket.create_connection(("127.0.0.1", server.port.getHost().port)))


def accepted_in_turns(server, turns):
    before = len(server.accepted)
    for _ in range(turns):
        server.turn()
    return len(server.accepted) - before


@pytest.mark.parametrize(("late", "is_storm"), [(LATE, False), (LATE_IN_STORM, True)])
def test_port_accepts_one_in_a_turn_while_the_crowd_waits_for_long(server, monkeypatch, late, is_storm):
    peers = LeftPeers()
    monkeypatch.setattr(read_order, "LEFT", peers)
    peers._looks = LOOK_AFTER if is_storm else 0
    for peer in server.connect(2 * MANY):
        peer.send(JOINS)
    assert accepted_in_turns(server, 2) == 0
    queued(server, 10)
    server.clock.now += late * 0.9
    assert accepted_in_turns(server, 1) == 10
    queued(server, 10)
    server.clock.now += late * 0.2
    assert accepted_in_turns(server, 2) == 2
    server.until(lambda: len(server.reads) == 2 * MANY)  # nobody waits any longer
    assert accepted_in_turns(server, 1) > 1


def test_crowd_that_is_served_is_not_late_however_long_it_stays(server):
    """The crowd is never empty, but those in it change."""

    def again(protocol):
        server.clock.now += 0.01

    server.after_read = again
    many = server.connect(MANY)
    began = server.clock.now
    while server.clock.now < began + 2 * LATE:
        for peer in many[:CROWDED]:
            peer.send(JOINS)
        for _ in range(2):
            server.turn()
    queued(server, 10)
    assert accepted_in_turns(server, 2) == 10


def test_time_in_which_nothing_waits_does_not_count(server):
    many = server.connect(MANY)
    for peer in many:
        peer.send(JOINS)
    server.until(lambda: len(server.reads) == MANY)
    for _ in range(3):
        many[0].send(JOINS)
        server.turn()
    server.clock.now += 100 * LATE
    for peer in many:
        peer.send(JOINS)
    server.turn()
    queued(server, 10)
    assert accepted_in_turns(server, 2) == 10


def test_prompt_port_accepts_although_the_crowd_is_late(server):
    for peer in server.connect(MANY):
        peer.send(JOINS)
    server.port.is_prompt = True
    assert accepted_in_turns(server, 2) == 0
    server.clock.now += 2 * LATE
    queued(server, 10)
    assert accepted_in_turns(server, 2) > 2


def test_turn_ends_although_the_crowd_is_large(server):
    for peer in server.connect(MANY):
        peer.send(JOINS)
    assert TOGETHER <= len(server.turn()) < MANY


def test_long_message_is_read_to_its_end(server):
    (peer,) = server.connect()
    sent = bytes(range(256)) * (5 * READ // 256)
    peer.send(sent)
    server.until(lambda: sum(len(data) for _port, data in server.reads) == len(sent))
    assert b"".join(data for _port, data in server.reads) == sent


@pytest.mark.parametrize("size", [1, READ, 2 * READ + 1])
def test_end_behind_the_last_bytes_is_noticed(server, size):
    (peer,) = server.connect()
    peer.send(b"x" * size)
    peer.shutdown(socket.SHUT_WR)
    server.until(lambda: server.ended)
    assert sum(len(data) for _port, data in server.reads) == size


def test_end_that_comes_during_the_read_is_noticed(server):
    (peer,) = server.connect()
    server.after_read = lambda _protocol: peer.close()
    peer.send(JOINS)
    server.until(lambda: server.ended)


def test_paused_connection_is_read_once_it_goes_on(server):
    crowd, (late,) = server.connect(MANY), server.connect()
    for peer in (*crowd, late):
        peer.send(JOINS)
    server.turn()
    transport = server.protocol_of(late).transport
    transport.pauseProducing()
    server.until(lambda: len(server.reads) == MANY)
    assert not server.turn()
    transport.resumeProducing()
    server.until(lambda: len(server.reads) == MANY + 1)


def test_paused_connection_whose_read_was_full_keeps_nothing(server):
    (peer,) = server.connect()
    server.after_read = lambda protocol: protocol.transport.pauseProducing()
    peer.send(b"x" * READ + b"rest")
    server.until(lambda: server.reads)
    assert not server.turn()
    server.accepted[0].transport.resumeProducing()
    server.until(lambda: len(server.reads) == 2)
    assert server.reads[1][1] == b"rest"


def test_event_of_a_closed_connection_is_not_that_of_the_next(server):
    crowd, (closed,) = server.connect(MANY), server.connect()
    for peer in (*crowd, closed):
        peer.send(JOINS)
    protocol = server.protocol_of(closed)
    closed.close()
    server.turn()  # It waits in the crowd now, and its end is known.
    descriptor = protocol.transport.fileno()
    server.peers.remove(closed)
    server.accepted.remove(protocol)
    protocol.transport.abortConnection()
    server.until(lambda: server.ended)
    server.ended.clear()
    (fresh,) = server.connect()
    assert server.protocol_of(fresh).transport.fileno() == descriptor
    server.until(lambda: len(server.reads) == MANY)
    for _ in range(3):
        server.turn()
    assert not server.ended
    fresh.send(PUSHES)
    server.until(lambda: len(server.reads) == MANY + 1)


def test_connection_that_waited_to_write_is_read_as_before(server):
    (peer,) = server.connect()
    server.accepted[0].transport.write(b"x" * 8_000_000)
    assert server.accepted[0].transport.unsent
    received = 0
    peer.setblocking(False)

    def whole():
        nonlocal received
        with suppress(BlockingIOError):
            received += len(peer.recv(1_000_000))
        return received == 8_000_000

    server.until(whole)
    peer.send(b"y" * (READ + 1))
    server.until(lambda: sum(len(data) for _port, data in server.reads) == READ + 1)
    peer.close()
    server.until(lambda: server.ended)


def test_turn_costs_no_more_when_thousands_wait_for_their_handshake(server):
    """Thousands come back over TLS in one moment. Until a handshake is done, its connection is costly."""
    costs = []
    for count in (700, 1500):
        peers = server.connect(count)
        for protocol in server.accepted[-count:]:
            protocol.transport.paid_until = math.inf
        for peer in peers:
            peer.send(JOINS)
        for _ in range(7):
            server.turn()  # until all are known as costly
        with counted_python_calls() as calls:
            server.turn()
        costs.append(calls.total())
        server.until(lambda: len(server.reads) == len(server.accepted))
    assert costs[1] < 1.5 * costs[0]


def test_handshake_that_has_begun_does_not_wait_for_all_others(server):
    waiting, (begun,) = server.connect(MANY), server.connect()
    for peer in waiting:
        server.protocol_of(peer).transport.paid_until = math.inf
        peer.send(JOINS)
    server.protocol_of(begun).transport.paid_until = server.clock.now + 2  # as its first read was charged
    server.turn()
    begun.send(JOINS)
    read = [port for _ in range(2) for port in server.turn()]
    assert begun.getsockname()[1] in read
