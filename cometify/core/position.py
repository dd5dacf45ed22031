"""Positions: the times, in microseconds, that order the pushes of an account.

A position is a number that strictly grows over all identifiers of an account. It is also a time of the engine clock, so
that a span of time and a span of positions are the same number.
"""

SECOND = 1_000_000
"""One second, in microseconds."""
EDGE_STEP = 10 * SECOND
"""The distance of the positions to which polls of the edge converge while nothing is pushed, in microseconds."""
REPLAY_WINDOW = 3 * 60 * SECOND
"""The replay of an internal id above 0, in microseconds: "all earlier pushes from the latest 3 minutes" (the seed)."""
RETENTION = 10 * 60 * SECOND
"""The age up to which a push is kept, in microseconds.

"If internal id == 0 is set ... all pushes from the latest ten minutes" (the seed).
"""
FLOOR_RETENTION = 24 * 3600 * SECOND
"""The age up to which the floors of a channel are remembered, in microseconds. A cursor older than that is always a gap."""


def edge_position(watermark: int, head: int) -> int:
    """The position that a poll of the edge is told: the same for all who ask within a step, as long as nothing is pushed.

    `head`: the position of the newest push that the poll may see. It is at or below the result, and no other such push is at
    or below the watermark. So nothing lies between the result and the watermark, and a listener that resumes at the result
    misses nothing and gets nothing twice.
    """
    return max(watermark - watermark % EDGE_STEP, head)
