"""Blocks: summaries of 64 pushes, from which a ring answers questions about long spans. See `cometify.core.ring`."""

from collections.abc import Sequence
from typing import NamedTuple

from cometify.core.push import Push

BLOCK = 64
"""The number of pushes in a block."""


class Block(NamedTuple):
    """The summary of one block."""

    push_id: int
    """The highest push_id of a public push, or -1."""
    secret_push_id: int
    """The highest push_id of a secret push, or -1."""
    newest_public: int
    """The position of the last public push, or 0."""
    size: int
    """The bytes of all frames."""


def summarise(pushes: Sequence[Push]) -> Block:
    """Summarise the pushes of one block. Some may have been dropped already; then the block is never asked."""
    public_id = secret_id = -1
    newest_public = size = 0
    # One loop: this is done for every push once, and three comprehensions take twice as long.
    for push in pushes:
        size += len(push.frame)
        push_id = push.push_id
        if push.secret:
            if push_id is not None and push_id > secret_id:
                secret_id = push_id
        else:
            newest_public = push.position
            if push_id is not None and push_id > public_id:
                public_id = push_id
    return Block(public_id, secret_id, newest_public, size)
