"""The eager transport gives its peer every byte, in order, whatever is written, when and from where."""

import hashlib
import os
import random
import socket
import subprocess
import threading
import time
from typing import ClassVar

import pytest
from twisted.internet import protocol, task
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from cometify.runtime.sockets import lowest
from cometify.runtime.tcp import EagerPort, EagerReactor
from cometify.runtime.tls_writer import writer_for
from tests.conftest import make_certificate

WRITES = 250


class Writer(protocol.Protocol):
    """Writes at random, as a streaming producer, and echoes what comes."""

    def __init__(self, random, reactor, straight=False):
        self.random = random
        self.reactor = reactor
        self.straight = straight  # whether what goes to listeners over TLS does
        self.sent = hashlib.sha256()
        self.size = 0
        self.paused = 0

    def connectionMade(self):
        lowest(self.transport).socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport.registerProducer(self, True)
        self.send = writer_for(self.transport) if self.straight else None
        assert bool(self.send) == self.straight
        self.ticks = task.LoopingCall(self.tick)
        self.ticks.clock = self.reactor
        self.ticks.start(0.0005)

    def pauseProducing(self):
        self.paused += 1

    def resumeProducing(self):
        self.put(b"resumed")  # a write from inside the callback that says there is room

    def stopProducing(self):
        pass

    def put(self, data):
        if self.send is not None and self.random.random() < 0.8:
            assert self.send(data) == len(data)
        else:
            self.transport.write(data)
        self.sent.update(data)
        self.size += len(data)

    def tick(self):
        for _ in range(self.random.randint(0, 4)):
            self.put(os.urandom(self.random.choice((0, 1, 100, 5000, 70_000))))
        pieces = [os.urandom(7), b"", os.urandom(30)]
        self.transport.writeSequence(pieces)
        for piece in pieces:
            self.sent.update(piece)
            self.size += len(piece)
        if self.size > 4_000_000:
            self.put(os.urandom(200_000))  # more than one send() may take
            self.ticks.stop()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def dataReceived(self, data):
        if self.ticks.running:  # TLS reads on until the peer has said goodbye as well, but takes nothing any more
            self.put(data)

    def connectionLost(self, reason):
        self.reactor.stop()


class SlowReader(threading.Thread):
    """A blocking peer that reads in fits and starts, and sometimes says something."""

    def __init__(self, port, random, wrap):
        super().__init__()
        self.random = random
        self.wrap = wrap
        self.port = port
        self.got = hashlib.sha256()
        self.size = 0

    def run(self):
        with self.wrap(socket.create_connection(("127.0.0.1", self.port))) as peer:
            while data := peer.recv(self.random.choice((100, 5_000, 65_536))):
                self.got.update(data)
                self.size += len(data)
                if self.random.random() < 0.02:
                    time.sleep(0.005)  # so that the server meets a full socket
                if self.size < 1_000_000 and self.random.random() < 0.05:
                    peer.sendall(b"ping")


def _as_it_is(plain):
    return plain


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("security", ["plain", "tls", "tls, straight"])
def test_every_byte_arrives_in_order(seed, security, tmp_path):
    reactor = EPollReactor()
    writer = Writer(random.Random(seed), reactor, security == "tls, straight")
    factory = protocol.Factory.forProtocol(lambda: writer)
    factory.noisy = False
    if security != "plain":
        wrap = make_certificate(tmp_path)
        context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
        port = EagerReactor(reactor).listenSSL(0, factory, context, 5, "127.0.0.1")
    else:
        wrap = _as_it_is
        port = EagerReactor(reactor).listenTCP(0, factory, 5, "127.0.0.1")
    reader = SlowReader(port.getHost().port, random.Random(seed), wrap)
    reader.start()
    reactor.callLater(60, reactor.stop)
    reactor.run(installSignalHandlers=False)
    reader.join(10)
    assert (reader.size, reader.got.hexdigest()) == (writer.size, writer.sent.hexdigest())
    assert writer.paused, "the test did not fill the socket"


class Counting(protocol.Protocol):
    """Writes numbers straight, for as long as anybody reads them."""

    number = 0

    def connectionMade(self):
        self.send = writer_for(self.transport)
        self.ticks = task.LoopingCall(self.count)
        self.ticks.clock = self.factory.reactor
        self.ticks.start(0.001)

    def count(self):
        self.number += 1
        self.send(b"<%d>\n" % self.number)

    def connectionLost(self, reason):
        self.ticks.stop()
        self.factory.reactor.stop()


def test_a_peer_may_ask_for_new_keys_in_between(tmp_path):
    make_certificate(tmp_path)
    reactor = EPollReactor()
    factory = protocol.Factory.forProtocol(Counting)
    factory.noisy = False
    factory.reactor = reactor
    context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    port = EagerReactor(reactor).listenSSL(0, factory, context, 5, "127.0.0.1")
    said = []

    def read(peer):
        for line in peer.stdout:
            said.append(line)
            if line in (b"<100>\n", b"<200>\n"):
                peer.stdin.write(b"K\n")  # a KeyUpdate that asks for one (RFC 8446, section 4.6.3)
                peer.stdin.flush()
            if line == b"<400>\n":
                peer.terminate()

    with subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port.getHost().port}", "-tls1_3"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as peer:  # fmt: skip
        reading = threading.Thread(target=read, args=(peer,))
        reading.start()
        reactor.callLater(20, reactor.stop)
        reactor.run(installSignalHandlers=False)
        peer.terminate()
        reading.join(10)
    assert said.count(b"KEYUPDATE\n") == 2
    assert [line for line in said if line.startswith(b"<")][:400] == [b"<%d>\n" % number for number in range(1, 401)]


class Greeter(protocol.Protocol):
    """Says one thing with each kind of write, and is told what happens when it is no bytes."""

    errors: ClassVar[list[type]] = []

    def connectionMade(self):
        for wrong in ("text", [b"a", "text"]):
            try:
                (self.transport.write if isinstance(wrong, str) else self.transport.writeSequence)(wrong)
            except TypeError as error:
                self.errors.append(type(error))
        self.transport.write(b"one ")
        self.transport.writeSequence([b"two", b" "])
        self.transport.write(b"three")
        self.transport.loseConnection()
        self.transport.write(b" never: it is closing")

    def connectionLost(self, reason):
        self.factory.reactor.stop()


def test_what_is_no_bytes_is_refused_and_nothing_follows_a_close():
    reactor = EPollReactor()
    factory = protocol.Factory.forProtocol(Greeter)
    factory.noisy = False
    factory.reactor = reactor
    port = EagerPort(0, factory, 5, "127.0.0.1", reactor)
    port.startListening()
    got = []

    def read():
        with socket.create_connection(("127.0.0.1", port.getHost().port)) as peer:
            while data := peer.recv(1000):
                got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    reactor.callLater(30, reactor.stop)
    reactor.run(installSignalHandlers=False)
    reader.join(10)
    assert b"".join(got).startswith(b"one two three")
    assert Greeter.errors == [TypeError, TypeError]
