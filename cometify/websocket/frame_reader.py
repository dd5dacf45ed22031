"""What a server reads of RFC 6455 once the handshake is done: bytes to messages, with nothing kept for an idle peer.

Sans-I/O: `feed` takes bytes as they come and gives back what they complete. Of the extensions there is
permessage-deflate, when it was agreed on.
"""

import attrs

from cometify.core.encodings import DEFLATED, FINAL, websocket_frame
from cometify.websocket.permessage_deflate import Broken, inflate

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009


class Violation(Exception):
    """The peer broke the protocol. `code` is the close code of section 7.4.1. `feed` gives it back and raises nothing."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@attrs.frozen
class Message:
    """A whole message, or a control frame."""

    opcode: int
    data: bytes


class FrameReader:
    """One for each connection. `limit`: the most bytes of a message, inflated or not. `deflates`: as was agreed on."""

    __slots__ = ("_begun", "_buffer", "_first", "_limit", "_reserved")

    def __init__(self, limit: int, *, deflates: bool = False) -> None:
        self._limit = limit
        self._reserved = 0x70 & ~DEFLATED if deflates else 0x70
        self._buffer = b""  # of a frame that is not whole yet
        self._begun = bytearray()  # of a message whose last frame has not come yet
        self._first = 0  # the first byte of that message's first frame

    @property
    def is_waiting(self) -> bool:
        """Whether something has begun that is not whole yet."""
        return bool(self._buffer or self._first)

    def feed(self, data: bytes) -> list[Message | Violation]:
        """What is complete with `data`. A `Violation` is the last, and after it nothing more is to be read."""
        buffer = self._buffer + data if self._buffer else data
        found: list[Message | Violation] = []
        at = 0
        try:
            while (frame := self._frame(buffer, at)) is not None:
                first, payload, at = frame
                message = Message(first & 15, payload) if first & 15 >= CLOSE else self._fragment(first, payload)
                if message is not None:
                    found.append(message)
                    if message.opcode == CLOSE:  # what comes after it means nothing (section 5.5.1)
                        at = len(buffer)
        except Violation as violation:
            found.append(violation)
            at = len(buffer)
            self._forget()
        self._buffer = buffer[at:]
        return found

    def _frame(self, buffer: bytes, at: int) -> tuple[int, bytes, int] | None:
        """The frame at `at`: its first byte, the unmasked payload, and where the next begins; None if it is not whole."""
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
        if length + (len(self._begun) if first & 15 < CLOSE else 0) > self._limit:
            raise self._too_big()
        end = at + 4 + length
        if len(buffer) < end:
            return None
        return first, _unmasked(buffer[at : at + 4], buffer[at + 4 : end]), end

    def _check_head(self, first: int, second: int) -> None:
        opcode = first & 15
        if first & (self._reserved if opcode in {TEXT, BINARY} else 0x70):
            raise Violation(PROTOCOL_ERROR, "reserved bits are set that no extension was agreed on for")
        if opcode not in {0, TEXT, BINARY, CLOSE, PING, PONG}:
            raise Violation(PROTOCOL_ERROR, "an unknown opcode")
        if not second & 128:
            raise Violation(PROTOCOL_ERROR, "a client's frames are masked")
        if opcode >= CLOSE and (first < FINAL or second & 127 > 125):
            raise Violation(PROTOCOL_ERROR, "a control frame is whole and has at most 125 bytes")

    def _fragment(self, first: int, payload: bytes) -> Message | None:
        """A frame of a message (section 5.4), which is whole with the last: the first has the opcode, the others none."""
        if bool(first & 15) == bool(self._first):
            raise Violation(PROTOCOL_ERROR, "a fragment out of its order")
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
            raise Violation(INVALID_DATA, "a compressed message cannot be inflated") from None
        if len(data) > self._limit:
            raise self._too_big()
        return data

    def _too_big(self) -> Violation:
        return Violation(TOO_BIG, f"a message may have {self._limit} bytes")

    def _forget(self) -> None:
        self._begun, self._first = bytearray(), 0


def _unmasked(mask: bytes, data: bytes) -> bytes:
    """XOR with the mask over and over (section 5.3), as one number: a loop over bytes takes a hundred times as long."""
    length = len(data)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def control_frame(opcode: int, data: bytes) -> bytes:
    """A control frame of the server's."""
    return websocket_frame(FINAL | opcode, data)


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame (section 5.5.1); a reason that is too long is cut."""
    return control_frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123].decode(errors="ignore").encode())


def answer_to_close(data: bytes) -> bytes:
    """The close frame that answers one: the same code, unless the peer may not send that (section 7.4)."""
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
