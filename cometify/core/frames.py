"""Frames to bytes: the JSON once for each, then the form in which each transport carries it."""

import json
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

import attrs

from cometify.core.integer import write_integer

if TYPE_CHECKING:
    from cometify.core.errors import Refused
    from cometify.core.push import Draft


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def push_frame(draft: "Draft", position: int) -> bytes:
    """One push. Written by hand, for it is made for each: json.dumps of the whole takes twice as long."""
    push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
    return (
        f'{{"type":"push","identifier":"{draft.identifier.folded}","push_id":{push_id},'
        f'"text":{encode_basestring(draft.text)},"position":{position}}}'
    ).encode()


def ready_frame(heartbeat: int, secret: Sequence[str], warnings: Sequence[str], positions: Sequence[int]) -> bytes:
    """The answer to a listen. `heartbeat`: seconds. `positions`: each group's first cursor, in the order asked."""
    # Nearly all lists are empty or numbers, which json.dumps takes four times as long to write.
    names = _encode(secret) if secret else b"[]"
    told = _encode(warnings) if warnings else b"[]"
    cursors = ",".join(map(str, positions)).encode()
    return b'{"type":"ready","heartbeat":%d,"secret":%b,"warnings":%b,"positions":[%b]}' % (
        heartbeat, names, told, cursors,
    )  # fmt: skip


def heartbeat_frame(position: int) -> bytes:
    """Everything up to `position` has been sent, and no later push gets it or less."""
    return b'{"type":"heartbeat","position":%d}' % position


def gap_frame(identifiers: Sequence[str]) -> bytes:
    """Pushes of these identifiers may be lost to the listener."""
    return _encode({"type": "gap", "identifiers": identifiers})


def error_frame(refused: "Refused") -> bytes:
    """The last frame of a connection. `retry` is in seconds, or null: do not come back unchanged."""
    return _encode({"type": "error", "code": refused.code.name, "detail": refused.detail, "retry": refused.retry})


def reconnect_frame(after: int) -> bytes:
    """The server goes down: come back after so many milliseconds."""
    return b'{"type":"reconnect","after":%d}' % after


def _as_websocket(frame: bytes, _position: int | None) -> bytes:
    """An unmasked, final text frame (RFC 6455, section 5.2)."""
    length = len(frame)
    if length < 126:
        return b"\x81%c%b" % (length, frame)
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + frame
    return b"\x81\x7f" + length.to_bytes(8, "big") + frame


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
class Form:
    """How a transport carries a frame. `once`: the answer ends with the first write, so a heartbeat closes it.
    `chunked`: each frame is a chunk of HTTP's.
    """

    name: str
    encode: Callable[[bytes, int | None], bytes]
    once: bool = False
    chunked: bool = False


WEBSOCKET = Form("websocket", _as_websocket)
STREAM = Form("stream", _in_chunks(_as_line), chunked=True)
STREAM_UNCHUNKED = Form("stream", _as_line)
EVENTS = Form("events", _in_chunks(_as_event), chunked=True)
EVENTS_UNCHUNKED = Form("events", _as_event)
POLL = Form("poll", _as_line, once=True)
