"""The server's side of a TLS handshake, which costs nothing before the client has said something.

OpenSSL takes 33 KiB as soon as a handshake begins: one buffer for a whole record and one for a whole message. Twisted begins
it when the connection is made, so that a client which connects and says nothing holds them until it is closed. Here the
handshake begins with the client's first whole record, which is its ClientHello. Until then only the bytes that have come are
kept. A client that is not done with its handshake in time is cut off.

Later OpenSSL speaks only when it is spoken to. A client may ask for new keys with each of its records (KeyUpdate, RFC 8446,
section 4.6.3), and OpenSSL answers each time. The answers to a client that reads nothing would be kept without a bound,
because no protocol above TLS knows of them. So such a client is cut off too.
"""

import math
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from cometify.runtime.attribute_names import teach_names
from cometify.runtime.transport import Transport

HANDSHAKE_WITHIN = 15.0
"""Seconds for a handshake, which takes two round trips. Lost packets are sent again after 1, 2 and 4 s."""
HEADER = 5
"""Bytes of the header of a record: its type, a version, and its length in the last two (RFC 8446, section 5.1)."""
HANDSHAKE = 22
"""The type of a record that carries a part of the handshake."""
MOST_WAITING = 64 * 1024
"""Bytes that wait for a client, above which the bytes that OpenSSL adds by itself are counted."""
MOST_ADDED = 64 * 1024
"""Bytes that OpenSSL may add by itself meanwhile: the answers to 2,400 requests for new keys."""
LONGEST_RECORD = 2**14
"""Bytes of a record that is not encrypted. OpenSSL refuses a longer one, and is given it at once."""
SET_LATER = (
    "wrappedProtocol",
    "factory",
    "_connectWrapped",
    "_deadline",
    "_tlsConnection",
    "_appSendBuffer",
    "__provides__",
    "connected",
    "transport",
    "_hello",
    "_handshakeDone",
    "_added",
    "_producer",
    "_producerPaused",
    "disconnecting",
    "_aborted",
    "_lostTLSConnection",
    "_reason",
)
"""The attributes of a connection, in the order in which it sets them."""


class PatientTLS(TLSMemoryBIOProtocol):
    """TLS of a server. After the handshake it is Twisted's, with a bound for a client that reads nothing."""

    _hello: bytes | None = b""
    """The bytes that have come, None once OpenSSL has them."""
    _deadline: IDelayedCall | None = None
    _added = 0
    """Bytes that were added by reads since more than `MOST_WAITING` wait for the client."""

    def makeConnection(self, transport: Transport) -> None:
        self._deadline = self.factory._clock.callLater(HANDSHAKE_WITHIN, self._too_late)
        # A handshake takes as long as 30 pushes. If hundreds begin at once, they are read after all cheap connections.
        _pay_until(transport, math.inf)
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        # A method of the instance would spare later reads this question. But to take it away again, CPython gives the
        # instance a dict of its own. Each write then looks it up in memory that no cache holds: 1 us of a delivery's 12.
        if self._hello is not None:
            data = self._hello + data
            if _is_incomplete(data):
                self._hello = data
                return
            self._hello = None
        super().dataReceived(data)

    def _checkHandshakeStatus(self) -> None:
        """Go on with the handshake, except when the connection is made: nothing can be done then."""
        if self._hello is None:
            super()._checkHandshakeStatus()
            if self._handshakeDone and self._deadline is not None:
                self._cancel_deadline()
                _pay_until(self.transport, 0.0)

    def _flushReceiveBIO(self) -> None:
        """Read what has come. Protocols above TLS add next to nothing in a read while so much waits for their client."""
        low = self.transport
        before = getattr(low, "unsent", 0)
        super()._flushReceiveBIO()
        if before <= MOST_WAITING:
            self._added = 0
            return
        self._added += max(0, getattr(low, "unsent", 0) - before)
        if self._added > MOST_ADDED:
            self.abortConnection()

    def _cancel_deadline(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None and deadline.active():
            deadline.cancel()

    def _too_late(self) -> None:
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._hello is not None:
            # OpenSSL has nothing to end. Asked to read, it would begin the handshake and fail, which leaves a cycle.
            self._lostTLSConnection = True
            self._hello = None
        self._cancel_deadline()
        super().connectionLost(reason)


def _pay_until(transport: Any, time: float) -> None:
    """Set `EagerServer.paid_until`."""
    transport.paid_until = time


def _is_incomplete(hello: bytes) -> bool:
    """True if the first record is one of a handshake and has not come whole."""
    if hello[0] != HANDSHAKE:
        return False
    if len(hello) < HEADER:
        return True
    length = int.from_bytes(hello[3:HEADER], "big")
    return length <= LONGEST_RECORD and len(hello) < HEADER + length


teach_names(PatientTLS, SET_LATER)
