"""What a server reads of RFC 6455 once the handshake is done: bytes to messages, with nothing kept for an idle peer.

Sans-I/O: `feed` takes bytes as they come and gives back what they complete. No extensions are negotiated.
"""

import attrs

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009


class Violation(Exception):
    """The peer broke the protocol. `code` is the close code of section 7.4.1."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@attrs.frozen
class Message:
    """A whole message, or a control frame."""

    opcode: int
    data: bytes


class Reader:
    """One for each connection. `limit`: the most bytes of a message."""

    __slots__ = ("_begun", "_buffer", "_limit", "_opcode")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = b""  # of a frame that is not whole yet
        self._begun = b""  # of a message whose last frame has not come yet
        self._opcode = 0

    @property
    def is_waiting(self) -> bool:
        """Whether something has begun that is not whole yet."""
        return bool(self._buffer or self._opcode)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with `data`. Raises `Violation`, after which nothing more is to be read."""
        buffer = self._buffer + data if self._buffer else data
        messages: list[Message] = []
        at = 0
        while (frame := self._frame(buffer, at)) is not None:
            final, opcode, payload, at = frame
            if opcode >= CLOSE:
                messages.append(Message(opcode, payload))
                if opcode == CLOSE:  # what comes after it means nothing (section 5.5.1)
                    at = len(buffer)
            else:
                self._fragment(final, opcode, payload, messages)
        self._buffer = buffer[at:]
        return messages

    def _frame(self, buffer: bytes, at: int) -> tuple[bool, int, bytes, int] | None:
        """The frame at `at`: final, opcode, unmasked payload, and where the next begins; None if it is not whole yet."""
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        opcode, length = first & 15, second & 127
        _check_head(first, second)
        at += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(buffer) < at + size:
                return None
            length = int.from_bytes(buffer[at : at + size], "big")
            at += size
        if length + (len(self._begun) if opcode < CLOSE else 0) > self._limit:
            raise Violation(TOO_BIG, f"a message may have {self._limit} bytes")
        end = at + 4 + length
        if len(buffer) < end:
            return None
        return first >= 128, opcode, _unmasked(buffer[at : at + 4], buffer[at + 4 : end]), end

    def _fragment(self, final: bool, opcode: int, payload: bytes, messages: list[Message]) -> None:
        """A frame of a message (section 5.4): the first has the opcode, those that continue it have none."""
        if bool(opcode) == bool(self._opcode):
            raise Violation(PROTOCOL_ERROR, "a fragment out of its order")
        self._opcode = self._opcode or opcode
        self._begun += payload
        if final:
            messages.append(Message(self._opcode, self._begun))
            self._begun, self._opcode = b"", 0


def _check_head(first: int, second: int) -> None:
    opcode = first & 15
    if first & 0x70:
        raise Violation(PROTOCOL_ERROR, "reserved bits are set, and no extension was agreed on")
    if opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
        raise Violation(PROTOCOL_ERROR, "an unknown opcode")
    if not second & 128:
        raise Violation(PROTOCOL_ERROR, "a client's frames are masked")
    if opcode >= CLOSE and (first < 128 or second & 127 > 125):
        raise Violation(PROTOCOL_ERROR, "a control frame is whole and has at most 125 bytes")


def _unmasked(mask: bytes, data: bytes) -> bytes:
    """XOR with the mask over and over (section 5.3), as one number: a loop over bytes takes a hundred times as long."""
    length = len(data)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def control_frame(opcode: int, data: bytes) -> bytes:
    """A control frame of the server's."""
    return bytes((128 | opcode, len(data))) + data


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
