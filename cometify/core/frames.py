"""The JSON of each frame that the server sends. `encodings` has the forms in which transports carry it."""

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
    """Write the frame of a push.

    By hand, because json.dumps takes twice as long, and each push needs one.
    """
    return b"%b%d}" % (push_head(draft), position)


def push_head(draft: "Draft") -> bytes:
    """Write the frame of a push up to the digits of its position. With these and a brace it is whole."""
    push_id = "null" if draft.push_id is None else write_integer(draft.push_id)
    content = f'"text":{encode_basestring(draft.text)}' if draft.data is None else f'"data":{draft.data}'
    if draft.event is not None:
        content = f'"event":"{draft.event}",{content}'
    return (
        f'{{"type":"push","identifier":"{draft.identifier.folded}","push_id":{push_id},{content},"position":'
    ).encode()


def ready_frame(heartbeat: int, secret: Sequence[str], warnings: Sequence[str], positions: Sequence[int]) -> bytes:
    """Write the answer to a `listen`.

    `heartbeat`: seconds. `secret`: the identifiers whose secret pushes will come. `positions`: the first cursor of each
    group, in the order asked.
    """
    # Nearly all lists are empty or have only numbers. json.dumps takes four times as long for these.
    names = _encode(secret) if secret else b"[]"
    told = _encode(warnings) if warnings else b"[]"
    cursors = ",".join(map(str, positions)).encode()
    return b'{"type":"ready","heartbeat":%d,"secret":%b,"warnings":%b,"positions":[%b]}' % (
        heartbeat, names, told, cursors,
    )  # fmt: skip


def heartbeat_frame(position: int) -> bytes:
    """Write a heartbeat: everything up to `position` was sent, and every later push gets a higher one."""
    return b'{"type":"heartbeat","position":%d}' % position


def gap_frame(identifiers: Sequence[str]) -> bytes:
    """Write a gap: pushes of these identifiers may be lost to the listener."""
    return _encode({"type": "gap", "identifiers": identifiers})


def error_frame(refused: "Refused") -> bytes:
    """Write the last frame of a connection. `retry` is in seconds, or null for "do not come back unchanged"."""
    return _encode({"type": "error", "code": refused.code.name, "detail": refused.detail, "retry": refused.retry})


def reconnect_frame(after: int) -> bytes:
    """Write a reconnect: the server goes down, and the listener must come back after so many milliseconds."""
    return b'{"type":"reconnect","after":%d}' % after
