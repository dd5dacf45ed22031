"""Positions: the times, in microseconds, that order the pushes of an account.

A position is a number that strictly grows over all identifiers of an account. It is also a time of the engine clock, so
that a span of time and a span of positions are the same number.
"""

SECOND = 1_000_000
"""One second, in microseconds."""
REPLAY_WINDOW = 3 * 60 * SECOND
"""The replay of an internal id above 0, in microseconds: "all earlier pushes from the latest 3 minutes" (the seed)."""
RETENTION = 10 * 60 * SECOND
"""The age up to which a push is kept, in microseconds.

"If internal id == 0 is set ... all pushes from the latest ten minutes" (the seed).
"""
FLOOR_RETENTION = 24 * 3600 * SECOND
"""The age up to which the floors of a channel are remembered, in microseconds. A cursor older than that is always a gap."""
