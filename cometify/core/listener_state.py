"""The states of a listener, as a table that refuses.

    state    event          becomes
    -------  -------------  -------
    BEHIND   REACHED_HEAD   LIVE      it has everything, and joins the pass of its view
    LIVE     DIVERGED       BEHIND    it is owed other bytes than its view: a push that it filters, or a gap
    BEHIND   BLOCKED        STALLED   its transport takes nothing more for now
    LIVE     BLOCKED        STALLED
    STALLED  BLOCKED        STALLED   the fan-out and the transport can both notice
    STALLED  WRITABLE       BEHIND    its transport has room again
    BEHIND   RELISTENED     BEHIND    a new `listen` frame, or a changed right, moves it to another view
    LIVE     RELISTENED     BEHIND
    STALLED  RELISTENED     STALLED   the transport still has no room
    GONE     POLLED_AGAIN   LIVE      a poll that was answered waits again, and is owed nothing
    any      ENDED          GONE      twice is allowed: it is told an error, and later its connection is lost

`BEHIND` means that the fan-out brings the listener to the head by itself, a span at a time. `LIVE` means that the
listener is at the head and that a pass of the fan-out writes to all live listeners of the view alike. A `STALLED`
listener costs nothing until its transport has room. `GONE` is the end, except for a poll that comes again.

A pair that is not in the table is a fault of this program: see `core/state_table.py`.
"""

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """The state of a listener. See the table above."""

    BEHIND = auto()
    LIVE = auto()
    STALLED = auto()
    GONE = auto()

    # Enum computes the hash from the name, in Python. A poll looks into the table twice, so this one must be fast.
    __hash__ = object.__hash__


class Event(Enum):
    """Something that happened to a listener. See the table above."""

    REACHED_HEAD = auto()
    DIVERGED = auto()
    BLOCKED = auto()
    WRITABLE = auto()
    RELISTENED = auto()
    POLLED_AGAIN = auto()
    ENDED = auto()

    __hash__ = object.__hash__


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.BEHIND, Event.REACHED_HEAD): State.LIVE,
    (State.LIVE, Event.DIVERGED): State.BEHIND,
    (State.BEHIND, Event.BLOCKED): State.STALLED,
    (State.LIVE, Event.BLOCKED): State.STALLED,
    (State.STALLED, Event.BLOCKED): State.STALLED,
    (State.STALLED, Event.WRITABLE): State.BEHIND,
    (State.BEHIND, Event.RELISTENED): State.BEHIND,
    (State.LIVE, Event.RELISTENED): State.BEHIND,
    (State.STALLED, Event.RELISTENED): State.STALLED,
    (State.GONE, Event.POLLED_AGAIN): State.LIVE,
    (State.BEHIND, Event.ENDED): State.GONE,
    (State.LIVE, Event.ENDED): State.GONE,
    (State.STALLED, Event.ENDED): State.GONE,
    (State.GONE, Event.ENDED): State.GONE,
}
"""The table as data. A pair that is missing is impossible."""
