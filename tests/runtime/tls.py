"""A TLS port without a network."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from cometify.runtime.certificates import Certificates
from cometify.runtime.tls_handshake import PatientTLS
from tests.certificates import Peer


class Echo(Protocol):
    """Sends back what it gets."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Port:
    """Makes the server's ends of connections. The test moves their `clock`."""

    def __init__(self, certificates: Certificates) -> None:
        self.clock = Clock()
        echo = Factory.forProtocol(Echo)
        echo.noisy = False
        self._factory = TLSMemoryBIOFactory(certificates, False, echo, clock=self.clock)  # type: ignore[arg-type]
        self._factory.protocol = PatientTLS

    def connect(self) -> "Connection":
        return Connection(self._factory.buildProtocol(None))  # type: ignore[arg-type]


class Connection:
    """The server's end of a connection."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.transport = StringTransport()
        server.makeConnection(self.transport)

    @property
    def is_cut(self) -> bool:
        return self.transport.disconnecting or self.transport.disconnected

    def receive(self, data: bytes) -> bytes:
        """The bytes of a peer come. Returns those that are sent to it."""
        if data:
            self.server.dataReceived(data)
        sent = self.transport.value()
        self.transport.clear()
        return sent

    def shake(self, peer: Peer) -> Peer:
        """Do the whole handshake. Raises `ssl.SSLError` if it fails."""
        return self.finish(peer, self.receive(peer.hello()))

    def finish(self, peer: Peer, answer: bytes) -> Peer:
        """Do the rest of a handshake, from the server's first answer on. Raises `ssl.SSLError` if it fails."""
        while answer:
            peer.incoming.write(answer)
            with suppress(ssl.SSLWantReadError):
                peer.tls.do_handshake()
            answer = self.receive(peer.outgoing.read())
        assert peer.tls.version() is not None
        return peer

    def echoes(self, peer: Peer) -> bool:
        """True if the peer gets back what it says."""
        peer.tls.write(b"hello")
        peer.incoming.write(self.receive(peer.outgoing.read()))
        return peer.tls.read() == b"hello"


def client(authority: Path | None = None) -> ssl.SSLContext:
    """A context that verifies the server by this authority, or not at all."""
    context = ssl.create_default_context(cafile=authority)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
