"""Frames to bytes: the JSON once for each, then the form in which each transport carries it."""

import json
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from cometify.core.integer import write_integer

if TYPE_CHECKING:
    from cometify.core.errors import Refused
    from cometify.core.push import Draft


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def push_frame(draft: "Draft", position: int) -> bytes:
    """One push. Written by hand, for it is made for each: json.dumps of the whole takes twice as long."""
    return b"%b%d}" % (push_head(draft), position)


def push_head(draft: "Draft") -> bytes:
    """The frame of a push up to the digits of its position; with those and a brace it is whole."""
    push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
    return (
        f'{{"type":"push","identifier":"{draft.identifier.folded}","push_id":{push_id},'
        f'"text":{encode_basestring(draft.text)},"position":'
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
