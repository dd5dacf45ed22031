"""Writes to listeners over TLS with fewer steps around OpenSSL.

A delivery over TLS costs 11 us. pyOpenSSL's `send()` and `bio_read()` are 2 of them: they allocate 32 KiB each time and
inspect the error queue after a success. `TLSWriter` calls OpenSSL and the socket itself, which is 15 % of a delivery.

Two rules of OpenSSL make this harder than it looks, because pyOpenSSL takes care of both and this module must too:

- pyOpenSSL sets SSL_MODE_ENABLE_PARTIAL_WRITE, so SSL_write may take a part of the data. It does for a peer that has
  negotiated a maximum fragment length (RFC 6066, section 4): one fragment at a time. Only the rest may be written again.
- A call that fails leaves its errors in a queue that all connections of the thread share. OpenSSL 3 takes an error that
  was left there for one of the next connection, and that connection ends. Whoever sees a call fail empties the queue.
"""

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from twisted.internet.abstract import FileDescriptor
from twisted.protocols.tls import TLSMemoryBIOProtocol

from cometify.runtime.sockets import below_proxy
from cometify.runtime.tcp import EagerServer, can_send_now
from cometify.runtime.tls_handshake import PatientTLS

RECORD = 2**14
"""Bytes that one record carries at most (RFC 8446, section 5.1)."""
ROOM = 2 * RECORD
"""Bytes of the buffer: one record and the bytes that encryption adds to it."""

# cffi's handle on OpenSSL, which cryptography lends to pyOpenSSL. None if pyOpenSSL no longer keeps it under this name.
_lib: Any = getattr(SSL, "_lib", None)
_ffi: Any = getattr(SSL, "_ffi", None)
# One buffer serves all connections, because its content is sent or copied before the next write begins.
_buffer = None if _ffi is None else _ffi.new("char[]", ROOM)
_encrypted = memoryview(b"" if _ffi is None else _ffi.buffer(_buffer))


class TLSWriter:
    """Replaces the TLS transport's `write()` while neither the TLS layer nor the socket has something waiting."""

    __slots__ = ("_bio_read", "_from_ssl", "_low", "_send", "_ssl", "_ssl_write", "_tls")

    def __init__(self, tls: TLSMemoryBIOProtocol, low: EagerServer) -> None:
        """Raises AttributeError if pyOpenSSL or Twisted use other names inside."""
        connection: Any = tls._tlsConnection
        self._ssl, self._from_ssl = connection._ssl, connection._from_ssl
        # Looked up once, because with many connections none of these attributes is in a cache when it is needed.
        self._ssl_write, self._bio_read = _lib.SSL_write, _lib.BIO_read
        self._tls: Any = tls
        self._low = low
        self._send = low.socket.send

    def __call__(self, data: bytes) -> int:
        """Write all of `data`. Returns its length in bytes.

        The TLS transport keeps what the socket does not take, and calls `pauseProducing()` when it keeps too much.
        """
        low, size = self._low, len(data)
        if not 0 < size <= RECORD or self._tls._appSendBuffer or not can_send_now(low):
            self._tls.write(data)
            return size
        taken = self._ssl_write(self._ssl, data, size)
        if taken != size:
            self._write_rest(data, max(taken, 0))
            return size
        made = self._bio_read(self._from_ssl, _buffer, ROOM)
        try:
            sent = self._send(_encrypted[:made])
        except OSError:
            sent = 0  # EAGAIN. A real error comes back when the reactor writes.
        if sent != made:
            FileDescriptor.write(low, bytes(_encrypted[sent:made]))
        return size

    def _write_rest(self, data: bytes, taken: int) -> None:
        """Give the TLS transport the bytes that OpenSSL did not take.

        The records of the first `taken` bytes wait in OpenSSL. The transport flushes them before those of the rest.
        A call that took nothing has failed. The transport meets the same error again and handles it.
        """
        if not taken:
            _lib.ERR_clear_error()
        self._tls.write(data[taken:])


def writer_for(transport: object) -> Callable[[bytes], int] | None:
    """Return a `TLSWriter` for TLS over an eager transport, also below the PROXY protocol. None for other transports."""
    transport = below_proxy(transport)
    # Exactly these types, because Twisted's BufferingTLSTransport collects writes and would be overtaken.
    if not isinstance(transport, TLSMemoryBIOProtocol) or type(transport) not in (TLSMemoryBIOProtocol, PatientTLS):
        return None
    if not isinstance(transport.transport, EagerServer):
        return None
    try:
        return TLSWriter(transport, transport.transport)
    except AttributeError:
        return None
