"""The JSON of each frame that the server sends. `encodings` has the forms in which transports carry it."""

import json
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from cometify.core.integer import write_integer

if TYPE_CHECKING:
    from cometify.core.errors import Refused
    from cometify.core.push import Draft, Push


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
    event = "" if draft.event is None else f'"event":"{draft.event}",'
    if draft.data is not None:
        return (
            f'{{"type":"push","identifier":"{draft.identifier.folded}","push_id":{push_id},{event}'
            f'"data":{draft.data},"position":'
        ).encode()
    return (
        f'{{"type":"push","identifier":"{draft.identifier.folded}","push_id":{push_id},{event}'
        f'"text":{encode_basestring(draft.text)},"position":'
    ).encode()


EXCLUDED = b'{"except":"'
"""The beginning of a head that names the listener that the push is not sent to, as it is kept outside of this process."""


def kept_head(draft: "Draft") -> bytes:
    """Write `push_head` as it is kept outside of this process: a listener that it excludes is its first field.

    An older version of Cometify that reads it does not know `except`. It sends a frame with one field that its clients
    ignore, and sends it to everybody.
    """
    head = push_head(draft)
    return head if draft.excluded is None else b'%b%b",%b' % (EXCLUDED, draft.excluded.encode(), head[1:])


def split_excluded(head: bytes) -> tuple[str, bytes]:
    """Return the listener id in a head that begins with `EXCLUDED`, and the head without it, as it is sent."""
    listener, _, rest = head[len(EXCLUDED) :].partition(b'",')
    return listener.decode(), b"{" + rest


def listed_frame(push: "Push") -> bytes:
    """Write the frame of a kept push for a back end. It has one more field, `secret`, which listeners do not get."""
    return b'%b,"secret":%d}' % (push.frame[:-1], push.secret)


def ready_frame(
    heartbeat: int,
    secret: Sequence[str],
    warnings: Sequence[str],
    positions: Sequence[int],
    refused: Sequence[int] = (),
) -> bytes:
    """Write the answer to a `listen`.

    `heartbeat`: seconds. `secret`: the identifiers whose secret pushes will come. `positions`: the first cursor of each
    group, in the order asked. `refused`: the places of the groups that were not joined. The field is there only if there
    are any, and the first warning tells of them.
    """
    # Nearly all lists are empty or have only numbers. json.dumps takes four times as long for these.
    names = _encode(secret) if secret else b"[]"
    told = _encode(warnings) if warnings else b"[]"
    cursors = ",".join(map(str, positions)).encode()
    places = b',"refused":%b' % _encode(refused) if refused else b""
    return b'{"type":"ready","heartbeat":%d,"secret":%b,"warnings":%b,"positions":[%b]%b}' % (
        heartbeat, names, told, cursors, places,
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
