"""Encodings: the bytes in which each transport carries a frame."""

import zlib
from collections.abc import Callable

import attrs

from cometify.core.push import Push

WORTH_DEFLATING = 300
"""Bytes of a push's frame from which on it is deflated: about 10 us, once, take a third off it. Below, its packet's
headers outweigh what could be saved."""
FAST = 1
"""zlib's level. The default, 6, takes another 3 % off and two to three times as long, in which nothing else is done."""
FINAL, DEFLATED, TEXT = 0x80, 0x40, 1
"""Of the first byte of a WebSocket frame: FIN, RSV1 as RFC 7692 uses it, and an opcode."""


def websocket_frame(first: int, payload: bytes) -> bytes:
    """An unmasked frame (RFC 6455, section 5.2). `first`: its first byte, the flags and the opcode."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (first, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8, "big"), payload)


def _as_websocket(frame: bytes, _position: int | None) -> bytes:
    return websocket_frame(FINAL | TEXT, frame)


def deflate(data: bytes) -> bytes:
    """What a compressed message carries (RFC 7692, section 7.2.1), with nothing taken over from any other."""
    # A window no larger than the data: setting up zlib's largest takes longer than deflating a small frame.
    window = min(max(len(data).bit_length(), 9), zlib.MAX_WBITS)
    deflater = zlib.compressobj(FAST, zlib.DEFLATED, -window)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _deflated(frame: bytes) -> bytes:
    """The frame as a compressed message; empty if it gets no smaller."""
    data = deflate(frame)
    return websocket_frame(FINAL | DEFLATED | TEXT, data) if len(data) < len(frame) else b""


def _as_line(frame: bytes, _position: int | None) -> bytes:
    return frame + b"\n"


def _as_event(frame: bytes, position: int | None) -> bytes:
    """A block of an event stream; the browser sends the last `id` back as Last-Event-ID."""
    if position is None:
        return b"data: %b\n\n" % frame
    return b"data: %b\nid: %d\n\n" % (frame, position)


def _in_chunks(plain: Callable[[bytes, int | None], bytes]) -> Callable[[bytes, int | None], bytes]:
    """Each frame a chunk of its own (RFC 9112, section 7.1), so that a write cut short ends with a whole one."""

    def encode(frame: bytes, position: int | None) -> bytes:
        data = plain(frame, position)
        return b"%x\r\n%b\r\n" % (len(data), data)

    return encode


@attrs.frozen(eq=False)
class Encoding:
    """How a transport carries a frame. `once`: the answer ends with the first write, so a heartbeat closes it.
    `chunked`: each frame is a chunk of HTTP's. `deflates`: large pushes go deflated.
    """

    name: str
    encode: Callable[[bytes, int | None], bytes]
    once: bool = False
    chunked: bool = False
    deflates: bool = False

    def encode_push(self, push: Push) -> bytes:
        """A push. It is deflated once in its life at most, whoever gets it, from whatever cursor; the other frames are
        small, or told to one listener alone, and never are.
        """
        if self.deflates and len(push.frame) >= WORTH_DEFLATING:
            if push.deflated is None:
                push.deflated = _deflated(push.frame)
            if push.deflated:
                return push.deflated
        return self.encode(push.frame, push.position)


WEBSOCKET = Encoding("websocket", _as_websocket)
WEBSOCKET_DEFLATED = Encoding("websocket", _as_websocket, deflates=True)
STREAM = Encoding("stream", _in_chunks(_as_line), chunked=True)
STREAM_UNCHUNKED = Encoding("stream", _as_line)
EVENTS = Encoding("events", _in_chunks(_as_event), chunked=True)
EVENTS_UNCHUNKED = Encoding("events", _as_event)
POLL = Encoding("poll", _as_line, once=True)
