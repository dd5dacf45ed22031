"""The eager transport gives its peer every byte in order, and its sockets have the options of a listener."""

import hashlib
import os
import random
import socket
import subprocess
import threading
import time
from typing import ClassVar

import pytest
from twisted.internet import protocol, task, tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.sockets import below_proxy, eager, lowest, set_no_delay, set_up_listener, set_user_timeout
from cometify.runtime.tcp import (
    ACKNOWLEDGED_WITHIN,
    SEND_BUFFER,
    STALLED_WITHIN,
    EagerPort,
    can_send_now,
)
from cometify.runtime.tls_writer import writer_for
from tests.certificates import make_certificate

WRITES = 250


class Writer(protocol.Protocol):
    """Writes at random, as a streaming producer, and echoes what comes."""

    def __init__(self, random, reactor, straight=False):
        self.random = random
        self.reactor = reactor
        self.straight = straight  # write as listeners over TLS do
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
        self.put(b"resumed")  # a write from within the callback that reports room

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
        if self.ticks.running:  # a closing TLS transport still reads, but takes no writes
            self.put(data)

    def connectionLost(self, reason):
        self.reactor.stop()


class SlowReader(threading.Thread):
    """A blocking peer that reads unevenly, and sometimes says something."""

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
                    time.sleep(0.005)  # the server must meet a full socket
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
    """Writes numbers with a TLSWriter until the connection is lost."""

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


def test_peer_may_ask_for_new_keys(tmp_path):
    make_certificate(tmp_path)
    reactor = EPollReactor()
    factory = protocol.Factory.forProtocol(Counting)
    factory.noisy = False
    factory.reactor = reactor
    context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    port = EagerReactor(reactor).listenSSL(0, factory, context, 5, "127.0.0.1")
    said = []

    def read(peer):
        asked = pushed = 0
        for line in peer.stdout:
            said.append(line)
            # s_client takes one command from each read of its input, so the next one waits until the last one is done.
            pushed = 0 if line == b"KEYUPDATE\n" else pushed + line.startswith(b"<")
            if pushed == 100 and asked == said.count(b"KEYUPDATE\n"):
                if asked == 2:
                    peer.terminate()
                    break
                asked += 1
                peer.stdin.write(b"K\n")  # a KeyUpdate that asks for one (RFC 8446, section 4.6.3)
                peer.stdin.flush()

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
    numbers = [line for line in said if line.startswith(b"<")]
    assert numbers == [b"<%d>\n" % number for number in range(1, len(numbers) + 1)]


class Greeter(protocol.Protocol):
    """Writes in each way, and keeps the errors of writes that are not bytes."""

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


def test_other_types_are_refused_and_nothing_follows_a_close():
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


class Waiting(protocol.Protocol):
    """Notes its transport."""

    def connectionMade(self):
        self.factory.transports.append(self.transport)


@pytest.fixture
def accepted(request):
    """A transport that the port of `request.param` has accepted from a real socket: "eager" or "stock"."""
    kinds = {"eager": EagerPort, "stock": tcp.Port}
    reactor = EPollReactor()
    factory = protocol.Factory.forProtocol(Waiting)
    factory.noisy = False
    factory.transports = []
    port = kinds[request.param](0, factory, 5, "127.0.0.1", reactor)
    port.startListening()
    with socket.create_connection(("127.0.0.1", port.getHost().port)):
        for _ in range(100):
            if factory.transports:
                break
            reactor.doIteration(0.1)
        yield factory.transports[0]
    for selectable in {*reactor.removeAll(), *factory.transports}:
        selectable.connectionLost(Failure(ConnectionDone()))
    reactor._poller.close()


def option(transport, level, name):
    return transport.socket.getsockopt(level, name)


def has_listener_options(transport):
    # The kernel doubles SO_SNDBUF, for its own bookkeeping (socket(7)).
    assert option(transport, socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER
    assert option(transport, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == ACKNOWLEDGED_WITHIN


@pytest.mark.parametrize("accepted", ["eager"], indirect=True)
def test_accepted_sockets_inherit_the_options_of_a_listener(accepted):
    has_listener_options(accepted)


@pytest.mark.parametrize("accepted", ["stock"], indirect=True)
def test_listener_on_another_transport_sets_its_options(accepted):
    assert option(accepted, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
    set_up_listener(accepted)
    has_listener_options(accepted)


@pytest.mark.parametrize("accepted", ["eager", "stock"], indirect=True)
def test_user_timeout_and_no_delay_are_set_on_the_socket(accepted):
    set_user_timeout(accepted, STALLED_WITHIN)
    assert option(accepted, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == STALLED_WITHIN
    assert option(accepted, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    set_no_delay(accepted)
    assert option(accepted, socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize("accepted", ["eager"], indirect=True)
def test_proxy_wrapper_is_looked_through_and_tls_is_not(accepted, tmp_path):
    make_certificate(tmp_path)
    context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    plain = protocol.Factory.forProtocol(protocol.Protocol)
    wrappers = {}
    for name, factory in {
        "proxy": WrappingFactory(plain),
        "tls": TLSMemoryBIOFactory(context, False, plain),
    }.items():
        factory.noisy = False
        wrappers[name] = factory.buildProtocol(None)
        wrappers[name].transport = accepted
    assert eager(accepted) is accepted
    assert eager(wrappers["proxy"]) is accepted
    assert eager(wrappers["tls"]) is None
    assert lowest(wrappers["tls"]) is accepted
    wrappers["tls"].transport = wrappers["proxy"]
    assert lowest(wrappers["tls"]) is accepted
    assert below_proxy(wrappers["tls"]) is wrappers["tls"]


@pytest.mark.parametrize("accepted", ["eager"], indirect=True)
def test_nothing_may_be_sent_past_a_transport_that_must_decide(accepted):
    assert can_send_now(accepted)
    accepted.write(b"x" * 8 * 2**20)
    assert accepted.unsent > 0
    assert not can_send_now(accepted)


@pytest.mark.parametrize("accepted", ["eager"], indirect=True)
@pytest.mark.parametrize("end", ["loseConnection", "abortConnection", "loseWriteConnection"])
def test_nothing_may_be_sent_once_a_connection_is_ending(accepted, end):
    assert can_send_now(accepted)
    getattr(accepted, end)()
    assert not can_send_now(accepted)
