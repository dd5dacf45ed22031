"""Tables of states, and the refusal of a transition that is not in its table.

A table is data: a mapping of (state, event) to the next state. A pair that is missing is a fault of this program.
`on_impossible` decides what happens then. It raises by default, so that tests fail. The server replaces it with a
function that logs, because a fault of one listener or session must not end other things.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeVar

StateT = TypeVar("StateT", bound=Enum)
EventT = TypeVar("EventT", bound=Enum)


class ImpossibleTransitionError(Exception):
    """An event came that the state does not allow."""


def refuse(subject: str, state: Enum, event: Enum) -> None:
    """Raise `ImpossibleTransitionError`. The default of `on_impossible`."""
    raise ImpossibleTransitionError(f"{subject}: {event.name} cannot happen in state {state.name}")


on_impossible: Callable[[str, Enum, Enum], None] = refuse
"""Called with the subject of the table for a pair that is not in it. If it returns, the state stays as it was."""


def next_state(subject: str, table: Mapping[tuple[StateT, EventT], StateT], state: StateT, event: EventT) -> StateT:
    """Look up the state after `event`. Calls `on_impossible` for a pair that is not in the table."""
    after = table.get((state, event))
    if after is None:
        on_impossible(subject, state, event)
        return state
    return after
