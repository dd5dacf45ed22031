"""Writes to listeners over TLS, with less around OpenSSL."""

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.abstract import FileDescriptor
from twisted.protocols.tls import TLSMemoryBIOProtocol

from cometify.runtime.sockets import below_proxy
from cometify.runtime.tcp import EagerServer

RECORD = 2**14
"""Bytes that one record carries at most (RFC 8446, section 5.1)."""
ROOM = 2 * RECORD
"""Bytes of the buffer, for a record with what encrypting adds to it."""

# What cryptography gives to pyOpenSSL, if that still has it.
_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)
_buffer = None if _ffi is None else _ffi.new("char[]", ROOM)
_encrypted = memoryview(b"" if _ffi is None else _ffi.buffer(_buffer))


class TLSWriter:
    """Instead of the TLS transport's write(): calls OpenSSL and the socket directly where nothing waits in between.

    Of 11 us for a delivery 2 are spent in pyOpenSSL's methods, which allocate 32 KiB and look for errors that there are not,
    and in looking up what they and the transports need: with many connections none of that is in a cache.
    """

    __slots__ = ("_bio_read", "_from_ssl", "_low", "_send", "_ssl", "_ssl_write", "_tls")

    def __init__(self, tls: TLSMemoryBIOProtocol, low: EagerServer) -> None:
        """Raises AttributeError where pyOpenSSL or Twisted have other names inside."""
        connection: Any = tls._tlsConnection
        self._ssl, self._from_ssl = connection._ssl, connection._from_ssl
        self._ssl_write, self._bio_read = _lib.SSL_write, _lib.BIO_read
        self._tls: Any = tls
        self._low: Any = low
        self._send = low.socket.send

    def __call__(self, data: bytes) -> int:
        """Write `data`: all of it, as a TLS transport does, which says by pauseProducing() when that is enough."""
        low, size = self._low, len(data)
        if (
            not 0 < size <= RECORD
            or low.dataBuffer
            or low._tempDataLen
            or self._tls._appSendBuffer
            or self._ssl_write(self._ssl, data, size) != size
        ):
            self._tls.write(data)  # which meets an error again, and knows what to do
            return size
        made = self._bio_read(self._from_ssl, _buffer, ROOM)
        try:
            sent = self._send(_encrypted[:made])
        except OSError:
            sent = 0  # EAGAIN, or the reactor meets it again
        if sent != made:
            FileDescriptor.write(low, bytes(_encrypted[sent:made]))
        return size


def sender(transport: Any) -> Callable[[bytes], int] | None:
    """What writes to a transport that is TLS over an eager one, below the PROXY protocol too; None if it is not that."""
    transport = below_proxy(transport)
    # Exactly this type: Twisted's other one gathers what is written.
    if type(transport) is not TLSMemoryBIOProtocol or not isinstance(transport.transport, EagerServer):
        return None
    try:
        return TLSWriter(transport, transport.transport)
    except AttributeError:
        return None
