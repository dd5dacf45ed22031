"""RFC 6455 after the handshake, the server's side: bytes become messages.

There is no I/O here. `FrameReader.feed` takes bytes in pieces of any size and returns the messages that are complete. A
reader keeps nothing for a peer between two messages, so a connection needs one only while a message is incomplete. The
one extension is permessage-deflate (RFC 7692), if the handshake agreed on it.
"""

import attrs

from cometify.core.encodings import DEFLATED, FINAL, websocket_frame
from cometify.websocket.permessage_deflate import Broken, inflate

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009


class Violation(Exception):
    """A breach of the protocol by the peer. `code`: the close code of section 7.4.1. `feed` returns it and never raises it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@attrs.frozen
class Message:
    """A complete message or a control frame."""

    opcode: int
    data: bytes


class FrameReader:
    """Reads the frames of one connection.

    `limit`: most bytes of a message, and of what it inflates to. `deflates`: the handshake agreed on permessage-deflate.
    """

    __slots__ = ("_begun", "_buffer", "_first", "_limit", "_reserved", "_skipped")

    def __init__(self, limit: int, *, deflates: bool = False) -> None:
        self._limit = limit
        self._reserved = 0x70 & ~DEFLATED if deflates else 0x70
        # The bytes of an incomplete frame.
        self._buffer = b""
        # The payload so far of a message whose last fragment has not arrived, and the first byte of its first frame.
        self._begun = bytearray()
        self._first = 0
        # The bytes of a frame over the limit that have not arrived yet. They are passed over, so that the peer's close
        # frame behind them is found.
        self._skipped = 0

    @property
    def is_waiting(self) -> bool:
        """True while a frame or a fragmented message is incomplete."""
        return bool(self._buffer or self._first or self._skipped)

    @property
    def is_in_message(self) -> bool:
        """True between the first fragment of a message and its last."""
        return bool(self._first)

    def feed(self, data: bytes) -> list[Message | Violation]:
        """Return the messages that `data` completes. A `Violation` is the last item.

        Feed nothing after it, unless the reader is waiting: a frame over the limit has not arrived whole then.
        """
        if self._skipped:
            passed = min(self._skipped, len(data))
            self._skipped -= passed
            data = data[passed:]
        buffer = self._buffer + data if self._buffer else data
        found: list[Message | Violation] = []
        at = 0
        try:
            while (frame := self._frame(buffer, at)) is not None:
                first, payload, at = frame
                message = Message(first & 15, payload) if first & 15 >= CLOSE else self._fragment(first, payload)
                if message is not None:
                    found.append(message)
                    if message.opcode == CLOSE:
                        at = len(buffer)  # Bytes after a close frame are discarded (section 5.5.1).
        except Violation as violation:
            found.append(violation)
            at = len(buffer)
            self._forget()
        self._buffer = buffer[at:]
        return found

    def _frame(self, buffer: bytes, at: int) -> tuple[int, bytes, int] | None:
        """Read the frame at `at`: its first byte, the unmasked payload, and the offset of the next. None if incomplete.

        The limit is checked as soon as the length is known, so that a peer cannot make the buffer grow beyond it.
        """
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        length = second & 127
        self._check_head(first, second)
        at += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < at + size:
                return None
            length = int.from_bytes(buffer[at : at + size], "big")
            at += size
        end = at + 4 + length
        if length + (len(self._begun) if first & 15 < CLOSE else 0) > self._limit:
            self._skipped = max(end - len(buffer), 0)
            raise self._too_big()
        if len(buffer) < end:
            return None
        return first, _unmasked(buffer[at : at + 4], buffer[at + 4 : end]), end

    def _check_head(self, first: int, second: int) -> None:
        opcode = first & 15
        if first & (self._reserved if opcode in {TEXT, BINARY} else 0x70):
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set, and no extension that uses it was agreed on")
        if opcode not in {0, TEXT, BINARY, CLOSE, PING, PONG}:
            raise Violation(PROTOCOL_ERROR, "the opcode is unknown")
        if not second & 128:
            raise Violation(PROTOCOL_ERROR, "a frame of a client must be masked")
        if opcode >= CLOSE and (first < FINAL or second & 127 > 125):
            raise Violation(PROTOCOL_ERROR, "a control frame must not be fragmented, and has at most 125 bytes")

    def _fragment(self, first: int, payload: bytes) -> Message | None:
        """Add a frame to its message (section 5.4). Returns the message if this frame was its last.

        The first frame of a message has an opcode and the others have opcode 0. Anything else is out of order.
        """
        if bool(first & 15) == bool(self._first):
            raise Violation(PROTOCOL_ERROR, "a fragment is out of order")
        self._first = self._first or first
        self._begun += payload
        if first < FINAL:
            return None
        data = bytes(self._begun)
        message = Message(self._first & 15, self._inflated(data) if self._first & DEFLATED else data)
        self._forget()
        return message

    def _inflated(self, deflated: bytes) -> bytes:
        try:
            data = inflate(deflated, self._limit + 1)
        except Broken:
            raise Violation(INVALID_DATA, "the compressed message cannot be inflated") from None
        if len(data) > self._limit:
            raise self._too_big()
        return data

    def _too_big(self) -> Violation:
        return Violation(TOO_BIG, f"a message has at most {self._limit} bytes")

    def _forget(self) -> None:
        self._begun, self._first = bytearray(), 0


def _unmasked(mask: bytes, data: bytes) -> bytes:
    """XOR the payload with the repeated mask (section 5.3).

    Both become one large integer each, because a loop over the bytes takes a hundred times as long.
    """
    length = len(data)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def control_frame(opcode: int, data: bytes) -> bytes:
    """Return a control frame of the server, which is not masked."""
    return websocket_frame(FINAL | opcode, data)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame (section 5.5.1). A reason above 123 bytes is cut at a character."""
    return control_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode())


def answer_to_close(data: bytes) -> bytes:
    """Return the close frame that answers the peer's: the same code, unless a peer must not send that code (section 7.4)."""
    if not data:
        return control_frame(CLOSE, b"")
    code = int.from_bytes(data[:2], "big")
    known = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if len(data) < 2 or not known:
        return close_frame(PROTOCOL_ERROR)
    try:
        data[2:].decode()
    except UnicodeDecodeError:
        return close_frame(INVALID_DATA)
    return close_frame(code)
