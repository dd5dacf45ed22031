"""A TLS port without a network."""

import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
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

    def __init__(self, certificates: Certificates, protocol: type[Protocol] = Echo) -> None:
        self.clock = Clock()
        factory = Factory.forProtocol(protocol)
        factory.noisy = False
        self._factory = TLSMemoryBIOFactory(certificates, False, factory, clock=self.clock)  # type: ignore[arg-type]
        self._factory.protocol = PatientTLS

    def connect(self) -> "Connection":
        return Connection(self._factory.buildProtocol(None))  # type: ignore[arg-type]


class CountingTransport(StringTransport):
    """A transport whose peer has read what the test has cleared."""

    @property
    def unsent(self) -> int:
        return len(self.value())


class Connection:
    """The server's end of a connection."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.transport = CountingTransport()
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


class RawRecords:
    """Encrypts records of a client that no TLS library would send (RFC 8446, sections 5.2 and 7).

    `secret`: the client's first secret for application data, with TLS_AES_256_GCM_SHA384.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._begin()

    @classmethod
    def of(cls, key_log: Path) -> "RawRecords":
        """Continue the connection whose client has written this file (`keylog_filename`), and has said nothing yet."""
        lines = key_log.read_text("ascii").splitlines()
        (secret,) = [line.split()[2] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        return cls(bytes.fromhex(secret))

    def _begin(self) -> None:
        self._cipher = AESGCM(self._expand(b"key", 32))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._sent = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        info = struct.pack(">HB", length, len(label) + 6) + b"tls13 " + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)

    def _record(self, content: bytes, kind: int) -> bytes:
        header = b"\x17\x03\x03" + struct.pack(">H", len(content) + 17)
        nonce = (self._iv ^ self._sent).to_bytes(12, "big")
        self._sent += 1
        return header + self._cipher.encrypt(nonce, content + bytes([kind]), header)

    def data(self, content: bytes) -> bytes:
        """A record of application data."""
        return self._record(content, 23)

    def key_update(self) -> bytes:
        """A record that says "I have new keys", and "take new ones too"."""
        record = self._record(b"\x18\x00\x00\x01\x01", 22)
        self._secret = self._expand(b"traffic upd", 48)
        self._begin()
        return record
