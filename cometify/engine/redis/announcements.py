"""Pushes as Redis keeps and publishes them: the entries of its lists, and the messages on the channels of identifiers."""

from collections.abc import Iterable

from cometify.core.frames import EXCLUDED, split_excluded
from cometify.core.push import Push
from cometify.engine.redis.messages import Nonsense

SEVERAL = b"*"
"""The first byte of a message with several pushes. The text of a single push begins with a digit."""

Announced = list[tuple[int, Push]]
"""Pushes in their order, each with the position of the push before it on the same identifier."""


def read_entries(identifier: str, entries: Iterable[bytes]) -> list[Push]:
    """Read kept pushes of an identifier, as `common.lua` describes them."""
    return [_push(identifier, *entry.split(b" ", 3)) for entry in entries]


def read_announced(identifier: str, text: bytes) -> tuple[int, Announced]:
    """Read a published message: where the account's memory begins, and the pushes. `append.lua` describes it.

    Raises `Nonsense`.
    """
    try:
        if not text.startswith(SEVERAL):
            began, before, position, secret, push_id, head = text.split(b" ", 5)
            return int(began), [(int(before), _push(identifier, position, secret, push_id, head))]
        began, before, entries = text[1:].split(b" ", 2)
        last, announced = int(before), []
        for push in read_entries(identifier, entries.split(b"\n")):
            announced.append((last, push))
            last = push.position
        return int(began), announced
    except (TypeError, ValueError):
        raise Nonsense("not a push") from None


def _push(identifier: str, position: bytes, secret: bytes, push_id: bytes, head: bytes) -> Push:
    number = None if push_id == b"-" else int(push_id)
    excluded = None
    if head.startswith(EXCLUDED):
        excluded, head = split_excluded(head)
    return Push(identifier, number, secret == b"1", int(position), b"%b%b}" % (head, position), None, excluded)
