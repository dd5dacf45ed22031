"""A server for tests of the eager transport. The test turns its reactor by hand."""

import random
import socket
import time
from collections import deque

from twisted.internet import protocol
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer

from cometify.runtime.tcp import EagerPort

STREAM = random.Random(1).randbytes(8 * 2**20)
"""The bytes that are written, piece after piece. A byte that is lost, doubled or overtaken is seen at once."""


class Producer:
    """Acts by its plan at each resumeProducing. `streaming`: an IPushProducer, else an IPullProducer."""

    def __init__(self, peer, streaming, plan):
        self.peer = peer
        self.streaming = streaming
        self.plan = deque(plan)
        self.inherits = peer.transport.producerPaused  # Twisted also resumes the successor of a paused one
        self.registered = self.paused = self.stopped = False

    def pauseProducing(self):
        self.peer.expect(self.streaming, "a pull producer was paused")
        self.peer.expect(not self.stopped, "paused after the end")
        self.paused = True

    def resumeProducing(self):
        self.peer.expect(not self.stopped, "resumed after the end")
        if self.registered:  # a pull producer is asked for its first piece at once
            self.peer.expect(self.peer.transport.unsent == 0, "resumed while something waits")
        self.peer.expect(self.paused or self.inherits or not self.streaming, "resumed without a pause")
        self.inherits = self.paused = False
        if self.plan:
            self.peer.act(self.plan.popleft())
        elif not self.streaming:
            self.peer.unregister()

    def stopProducing(self):
        self.peer.expect(not self.stopped, "stopped twice")
        self.stopped = True


@implementer(IHalfCloseableProtocol)
class Server(protocol.Protocol):
    """The end that writes. `written`: bytes of STREAM that the transport has taken."""

    def __init__(self, plan):
        self.plan = deque(plan)
        self.producer = None
        self.written = 0
        self.heard = 0
        self.wrong = []
        self.closing = self.aborted = self.write_ended = self.read_ended = self.lost = False

    def expect(self, condition, promise):
        if not condition:
            self.wrong.append(promise)  # the reactor would only log an exception

    def connectionMade(self):
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel makes it 4,608 bytes
        self.react()

    def dataReceived(self, data):
        for _ in data:
            self.heard += 1
            self.react()

    def react(self):
        if self.plan:
            self.act(self.plan.popleft())

    def act(self, actions):
        for action, argument in actions:
            getattr(self, action)(argument)

    def take(self, size):
        """The next bytes to be written. Bytes that the transport must drop are not taken from the stream."""
        if self.aborted or self.write_ended or self.lost:
            return b"\0" * size
        data = STREAM[self.written : self.written + size]
        self.written += size
        return data

    def write(self, size):
        self.transport.write(self.take(size))

    def sequence(self, sizes):
        self.transport.writeSequence([self.take(size) for size in sizes])

    def send(self, size):
        """Write as a listener does: to the socket itself while nothing waits."""
        if self.transport.unsent or self.closing or self.aborted or self.write_ended or self.lost or not size:
            return
        producer = self.producer
        if producer is None or not producer.streaming or producer.paused:
            return
        data = self.take(size)
        try:
            sent = self.transport.socket.send(data)
        except OSError:
            sent = 0
        if sent < size:
            producer.paused = True
            self.transport.call_when_writable(data[sent:], producer)

    def unregister(self):
        self.producer = None
        self.transport.unregisterProducer()

    def readConnectionLost(self):
        self.read_ended = True

    def writeConnectionLost(self):
        self.write_ended = True

    def connectionLost(self, reason):
        self.lost = True
        self.expect(self.producer is None or self.producer.stopped, "told of the end")


class Sockets(protocol.Factory):
    """A reactor that the test turns by hand, and an eager port on it."""

    noisy = False

    def __init__(self):
        self.reactor = EPollReactor()
        self.port = EagerPort(0, self, 5, "127.0.0.1", self.reactor)
        self.port.startListening()
        self.made = None

    def buildProtocol(self, _address):
        return self.made

    def loop_hooks(self):
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0)

    def connect(self, server):
        self.made = server
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)  # with loopback's 65,483 a full socket stalls
        client.connect(self.port.socket.getsockname())
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.monotonic() + 10
        while server.transport is None:
            assert time.monotonic() < until
            self.loop_hooks()
        return client
