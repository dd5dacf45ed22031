"""Encodings: the bytes in which each transport carries a frame."""

import json
import re
import zlib
from collections.abc import Callable

import attrs

from cometify.core.push import Push

WORTH_DEFLATING = 300
"""Bytes of a frame from which on a push is deflated. That takes about 10 us, once, and saves a third. The headers of the
packet are larger than the savings in a smaller frame."""
FAST = 1
"""The level for zlib. Its default, 6, saves another 3 % and takes two to three times as long."""
FINAL, DEFLATED, TEXT = 0x80, 0x40, 1
"""Parts of the first byte of a WebSocket frame: FIN, RSV1 (RFC 7692, section 6: compressed), and the opcode of text."""


def websocket_frame(first: int, payload: bytes) -> bytes:
    """Encode an unmasked frame (RFC 6455, section 5.2). `first`: its first byte, with the flags and the opcode."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (first, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8, "big"), payload)


def _as_websocket(frame: bytes, _position: int | None) -> bytes:
    return websocket_frame(FINAL | TEXT, frame)


def deflate(data: bytes) -> bytes:
    """Compress a message (RFC 7692, section 7.2.1) without a context of earlier messages."""
    # The window is not larger than the data, because setting up zlib's largest takes longer than deflating a small frame.
    window = min(max(len(data).bit_length(), 9), zlib.MAX_WBITS)
    deflater = zlib.compressobj(FAST, zlib.DEFLATED, -window)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _deflated(frame: bytes) -> bytes:
    """Encode the frame as a compressed message. Empty if that is not smaller."""
    data = deflate(frame)
    return websocket_frame(FINAL | DEFLATED | TEXT, data) if len(data) < len(frame) else b""


def _as_line(frame: bytes, _position: int | None) -> bytes:
    return frame + b"\n"


def _as_event(frame: bytes, position: int | None) -> bytes:
    """Encode a block of an event stream (WHATWG HTML, 9.2.6). Browsers send the last `id` back as Last-Event-ID."""
    if position is None:
        return b"data: %b\n\n" % frame
    return b"data: %b\nid: %d\n\n" % (frame, position)


_LINE_END = re.compile(rb"\r\n|\r|\n")
"""The ends of lines in an event stream. Others that Unicode knows are part of a line."""
_TYPE = len(b'{"type":"')
"""The index at which the type of a frame begins, whoever wrote it (see `frames`)."""


def _as_raw_event(frame: bytes, position: int | None) -> bytes:
    """Encode a block for pages that read no frames. See `docs/protocol-listening.md`, "Raw events".

    A block without data dispatches no event, and its `id` still becomes the Last-Event-ID (WHATWG HTML, 9.2.6).
    """
    kind = frame[_TYPE : frame.index(b'"', _TYPE)]
    if kind == b"push":
        return _raw_push(frame)
    if position is None:
        return b"event: cometify:%b\ndata: %b\n\n" % (kind, frame)
    return b"id: %d\n\n" % position


def _raw_push(frame: bytes) -> bytes:
    push = json.loads(frame)
    if "text" in push:
        content = push["text"].encode()
    else:  # the very bytes, because reading a number and writing it again can change it
        content = frame[frame.index(b',"data":') + len(b',"data":') : frame.rindex(b',"position":')]
    data = b"".join([b"data: %b\n" % line for line in _LINE_END.split(content)])
    return b"event: %b\n%bid: %d\n\n" % (push.get("event", push["identifier"]).encode(), data, push["position"])


def _in_chunks(plain: Callable[[bytes, int | None], bytes]) -> Callable[[bytes, int | None], bytes]:
    """Make each frame a chunk of its own (RFC 9112, section 7.1).

    So the held rest of a frame that was cut short completes its chunk, and anything may come next.
    """

    def encode(frame: bytes, position: int | None) -> bytes:
        data = plain(frame, position)
        return b"%x\r\n%b\r\n" % (len(data), data)

    return encode


@attrs.frozen(eq=False)
class Encoding:
    """The form in which a transport carries frames. `encode(frame, position)` gives the bytes.

    `once`: the response ends with the first write, so a heartbeat belongs at its end. `chunked`: each frame is a chunk of
    HTTP/1.1. `deflates`: large pushes are deflated. `converges`: the positions in its heartbeats are those of
    `position.edge_position`.
    """

    name: str
    encode: Callable[[bytes, int | None], bytes]
    once: bool = False
    chunked: bool = False
    deflates: bool = False
    converges: bool = False

    def encode_push(self, push: Push) -> bytes:
        """Encode a push. All listeners together cost at most one deflation.

        Other frames are never deflated, because they are small or belong to one listener alone.
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
RAW_EVENTS = Encoding("events", _in_chunks(_as_raw_event), chunked=True)
RAW_EVENTS_UNCHUNKED = Encoding("events", _as_raw_event)
POLL = Encoding("poll", _as_line, once=True)
EDGE_POLL = Encoding("poll", _as_line, once=True, converges=True)
"""Polls that a shared cache may answer. They have views of their own, because their bytes differ from those of other polls."""
