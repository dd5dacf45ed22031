"""Blocks: summaries of 64 pushes, which answer questions about long spans. See `cometify.core.kept_pushes`."""

from collections.abc import Sequence
from typing import NamedTuple

from cometify.core.push import Push

BLOCK = 64
"""The number of pushes in a block."""


class Block(NamedTuple):
    """The summary of one block."""

    push_id: int
    """The highest push_id, or -1."""
    size: int
    """The bytes of all frames."""


def summarise(pushes: Sequence[Push]) -> Block:
    """Summarise the pushes of one block. Some may have been dropped already; then the block is never asked."""
    highest, size = -1, 0
    # One loop: this is done for every push once, and two comprehensions take longer.
    for push in pushes:
        size += len(push.frame)
        push_id = push.push_id
        if push_id is not None and push_id > highest:
            highest = push_id
    return Block(highest, size)
