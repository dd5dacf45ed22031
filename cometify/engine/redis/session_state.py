"""The states of a session with Redis, as a table that refuses.

    state        event      becomes
    -----------  ---------  -----------
    STOPPED      STARTED    CONNECTING
    CONNECTING   CONNECTED  CATCHING_UP  the connections are there; nobody knows yet what was missed
    CONNECTING   FAILED     WAITING      Redis could not be reached
    CATCHING_UP  CAUGHT_UP  READY        all rings are complete again
    CATCHING_UP  LOST       WAITING      a connection was lost, or does not answer
    READY        LOST       WAITING
    WAITING      RETRIED    CONNECTING   the delay is over
    any          STOPPED    STOPPED      the server goes down

Pushes are taken and listeners join in READY only. `CATCHING_UP` ends when every account that this node follows has
been read from where the node had heard it to: see the theory of operation in `cometify.engine.redis`.

A pair that is not in the table is a fault of this program: see `core/state_table.py`.
"""

from collections.abc import Mapping
from enum import Enum, auto


class State(Enum):
    """The state of a session. See the table above."""

    STOPPED = auto()
    CONNECTING = auto()
    CATCHING_UP = auto()
    READY = auto()
    WAITING = auto()


class Event(Enum):
    """An event of a session. See the table above."""

    STARTED = auto()
    CONNECTED = auto()
    FAILED = auto()
    CAUGHT_UP = auto()
    LOST = auto()
    RETRIED = auto()
    STOPPED = auto()


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.STOPPED, Event.STARTED): State.CONNECTING,
    (State.CONNECTING, Event.CONNECTED): State.CATCHING_UP,
    (State.CONNECTING, Event.FAILED): State.WAITING,
    (State.CATCHING_UP, Event.CAUGHT_UP): State.READY,
    (State.CATCHING_UP, Event.LOST): State.WAITING,
    (State.READY, Event.LOST): State.WAITING,
    (State.WAITING, Event.RETRIED): State.CONNECTING,
    **{(state, Event.STOPPED): State.STOPPED for state in State},
}
"""The table as data. A pair that is missing is impossible."""
