"""Writes over TLS: a peer with small records, and a peer that leaves while it is written to."""

import subprocess
import threading
from contextlib import suppress

import pytest
from OpenSSL import SSL
from twisted.internet import protocol
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol

from cometify.runtime.eager_reactor import EagerReactor
from cometify.runtime.tls_writer import TLSWriter, writer_for
from tests.certificates import make_certificate

SIZES = (1, 500, 512, 513, 1024, 2000, 2048, 5000, 16_384, 20_000)
END = b"<the end>\n"


class Speaker(protocol.Protocol):
    """Writes a message of each size and then the end, once the peer has said something: the handshake is over then."""

    def dataReceived(self, _data):
        send = writer_for(self.transport)
        assert send is not None
        for size in SIZES:
            message = b"%d:" % size + b"x" * size + b"\n"
            assert send(message) == len(message)
        send(END)

    def connectionLost(self, reason):
        self.factory.reactor.stop()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("fragment", [[], ["-maxfraglen", "512"], ["-maxfraglen", "2048"]], ids=str)
def test_peer_with_small_records_gets_each_byte_once(fragment, version, tmp_path):
    make_certificate(tmp_path)
    reactor = EPollReactor()
    factory = protocol.Factory.forProtocol(Speaker)
    factory.noisy = False
    factory.reactor = reactor
    context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    port = EagerReactor(reactor).listenSSL(0, factory, context, 5, "127.0.0.1")
    lines = []

    def read(peer):
        for line in peer.stdout:
            lines.append(line)
            if line == END:
                peer.terminate()

    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port.getHost().port}", "-quiet", version, *fragment]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as peer:
        reading = threading.Thread(target=read, args=(peer,))
        reading.start()
        peer.stdin.write(b"hello\n")
        peer.stdin.flush()
        reactor.callLater(20, reactor.stop)
        reactor.run(installSignalHandlers=False)
        peer.terminate()
        reading.join(10)
    assert lines == [*(b"%d:" % size + b"x" * size + b"\n" for size in SIZES), END]


class Socket:
    """Takes all bytes."""

    def send(self, data):
        return len(data)


class Low(StringTransport):
    """An eager transport with nothing waiting."""

    dataBuffer = b""
    _tempDataLen = 0
    TLS = _aborting = _writeDisconnecting = False
    connected = True
    socket = Socket()


def connected(context):
    """A TLS connection of the server's and the peer's end, after the handshake."""
    factory = protocol.Factory.forProtocol(protocol.Protocol)
    factory.noisy = False
    tls = TLSMemoryBIOFactory(context, False, factory, clock=Clock())
    tls.protocol = TLSMemoryBIOProtocol
    server, low = tls.buildProtocol(None), Low()
    server.makeConnection(low)
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for _ in range(6):
        with suppress(SSL.WantReadError):
            client.do_handshake()
        with suppress(SSL.WantReadError):
            server.dataReceived(client.bio_read(65_536))
        if low.value():
            client.bio_write(low.value())
            low.clear()
    return server, low, client


def test_failed_write_leaves_no_error_for_other_connections(tmp_path):
    make_certificate(tmp_path)
    context = DefaultOpenSSLContextFactory(str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"))
    server, low, client = connected(context)
    other, _low, other_client = connected(context)
    send = TLSWriter(server, low)
    client.shutdown()
    server.dataReceived(client.bio_read(65_536))
    send(b"a push for a peer that has just said goodbye")
    assert SSL._lib.ERR_peek_error() == 0
    other_client.send(b"hello")
    other.dataReceived(other_client.bio_read(65_536))
    assert not other.transport.disconnecting
