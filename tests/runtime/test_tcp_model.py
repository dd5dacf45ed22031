"""The eager transport against a model, over real sockets.

Whatever is written arrives whole and in order, from whichever callback it is written. Producers are paused and resumed as
IPushProducer and IPullProducer say.
"""

import select
import socket
import time

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cometify.runtime.tcp import EagerServer
from tests.runtime.writer import STREAM, Producer, Server, Sockets

LARGEST = 200_000

sizes = st.sampled_from([0, 1, 100, 3_000, 20_000, 70_000, EagerServer.SEND_LIMIT + 1, LARGEST])
writes = st.tuples(st.just("write"), sizes) | st.tuples(st.just("sequence"), st.lists(sizes, max_size=3))
sends = st.tuples(st.just("send"), sizes)
actions = st.lists(writes, max_size=3)

SOCKETS = Sockets()


class Transport(RuleBasedStateMachine):
    """`got`: bytes of the stream that the peer has read."""

    @initialize(plan=st.lists(actions, max_size=2), busy=st.integers(0, 8))
    def connect(self, plan, busy):
        self.busy = busy  # writes before which nothing is closed
        self.server = Server(plan)
        self.got = 0
        self.ended = self.told_end = self.half_closed = False
        self.said = 0
        self.client = SOCKETS.connect(self.server)

    @property
    def transport(self):
        return self.server.transport

    def is_open(self):
        return hasattr(self, "server") and not self.server.lost

    def may_end(self):
        return self.is_open() and self.busy <= 0

    # Rules of the server.

    @precondition(is_open)
    @rule(actions=actions)
    def write(self, actions):
        self.busy -= 1
        self.server.act(actions)

    @precondition(lambda self: self.is_open() and not self.server.aborted)
    @rule(sizes=st.lists(sizes, min_size=1, max_size=4))
    def send_as_a_listener(self, sizes):
        self.busy -= 1
        if self.server.producer is None:
            self.register(True, [])
        for size in sizes:
            self.server.send(size)

    @precondition(lambda self: self.is_open() and not self.server.closing and not self.server.aborted)
    @rule(size=st.integers(1, 3_000))
    def what_is_written_while_nothing_waits_is_there_at_once(self, size):
        if self.server.producer is None and not self.transport.unsent and not self.half_closed:
            self.server.write(size)
            assert self.transport.unsent == 0 or self.got < self.server.written - size, "not sent at once"
            self.wait_for(lambda: self.got + self.transport.unsent == self.server.written, turning=False)

    @precondition(lambda self: self.is_open() and not self.server.producer and not self.server.aborted)
    @rule(streaming=st.booleans(), plan=st.lists(actions | st.lists(sends, max_size=3), max_size=4))
    def register(self, streaming, plan):
        self.busy -= 1
        if not streaming:  # a pull producer that writes nothing is never asked again
            plan = [[("write", 1), *actions] for actions in plan]
        producer = self.server.producer = Producer(self.server, streaming, plan)
        self.transport.registerProducer(producer, streaming)
        producer.registered = True

    @precondition(lambda self: self.is_open() and self.server.producer is not None)
    @rule()
    def unregister(self):
        self.server.unregister()

    @precondition(may_end)
    @rule(wait=st.booleans())
    def close_writing(self, wait):
        self.half_closed = True
        self.transport.loseWriteConnection()
        # Twisted first asks a producer that waits for more, and looks again only after that was written.
        asks = self.server.producer and (not self.server.producer.streaming or self.transport.producerPaused)
        if wait and not asks and not self.server.aborted:
            self.wait_for(lambda: self.server.lost or self.ended)

    @precondition(may_end)
    @rule()
    def close(self):
        # Closing a socket that holds unread bytes resets the connection, and the peer loses its own unread bytes.
        self.wait_for(lambda: self.server.heard == self.said or self.server.aborted)
        self.server.closing = True
        self.transport.loseConnection()

    @precondition(may_end)
    @rule(size=sizes)
    def abort(self, size):
        self.server.aborted = True
        self.transport.abortConnection()
        self.server.write(size)

    # Rules of the peer.

    @rule(size=st.sampled_from([1, 500, 5_000, 100_000]))
    def read(self, size):
        self.receive(size)

    @rule()
    def read_all(self):
        while self.receive(1 << 16):
            pass

    @precondition(lambda self: self.is_open() and not self.told_end and not self.server.closing)
    @rule(plan=st.lists(actions, min_size=1, max_size=2), turns=st.integers(0, 2))
    def say(self, plan, turns):
        self.server.plan.extend(plan)
        self.said += self.client.send(b"x" * len(plan))
        self.loop_hooks(turns)

    @precondition(lambda self: self.is_open() and not self.told_end)
    @rule()
    def end_saying(self):
        self.told_end = True
        self.client.shutdown(socket.SHUT_WR)

    @precondition(lambda self: self.is_open() and not self.server.aborted)
    @rule()
    def let_all_be_read(self):
        self.wait_for(lambda: self.server.lost or not self.transport.unsent)

    @rule(turns=st.integers(1, 4))
    def loop_hooks(self, turns):
        for _ in range(turns):
            SOCKETS.loop_hooks()

    def receive(self, size):
        """Read at most `size` bytes of those that are there. Returns False if there are none."""
        if self.ended:
            return False
        try:
            data = self.client.recv(size)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            assert self.server.aborted
            data = b""
        assert data == STREAM[self.got : self.got + len(data)]
        self.got += len(data)
        assert self.got <= self.server.written
        self.ended = not data
        return bool(data)

    def wait_for(self, condition, *, turning=True):
        until = time.monotonic() + 5
        while True:
            self.read_all()
            if condition():
                return
            assert time.monotonic() < until, "not within 5 seconds"
            select.select([SOCKETS.reactor._poller] * turning + [self.client] * (not self.ended), [], [], 0.01)
            if turning:
                SOCKETS.loop_hooks()

    def teardown(self):
        if not hasattr(self, "server"):
            return
        server = self.server
        if self.is_open() and not server.aborted:
            self.let_all_be_read()
            if server.producer is not None:
                server.expect(not server.producer.paused, "a paused producer was not resumed though there is room")
                server.unregister()
            if not server.lost:
                self.close()
        self.wait_for(lambda: self.ended and server.lost)
        self.client.close()
        assert server.wrong == []
        assert self.got == server.written or server.aborted
        assert server.heard == self.said or server.aborted


TestTransport = Transport.TestCase
# Failures are not shrunk, because each try waits for bytes that do not come.
TestTransport.settings = settings(
    deadline=None, derandomize=True, max_examples=150, stateful_step_count=30, phases=[Phase.explicit, Phase.generate]
)


def test_bytes_written_after_an_abort_do_not_leave():
    server = Server([])
    with SOCKETS.connect(server) as client:
        server.transport.abortConnection()
        server.transport.write(b"never")
        server.transport.writeSequence([b"never"])
        with pytest.raises(BlockingIOError):
            client.recv(5)
        SOCKETS.loop_hooks()
        assert server.lost
        with pytest.raises(ConnectionResetError):
            client.recv(5)


def test_half_close_waits_for_a_paused_producer():
    machine = Transport()
    machine.connect([], 0)
    machine.register(True, [[("write", 1_000)]])
    machine.server.write(LARGEST)
    assert machine.server.producer.paused
    machine.transport.loseWriteConnection()
    machine.wait_for(lambda: machine.ended)
    assert machine.got == LARGEST + 1_000
    assert machine.server.write_ended
    machine.teardown()
