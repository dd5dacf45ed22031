"""The table of the session's states."""

import pytest

from cometify.core import state_table
from cometify.core.state_table import ImpossibleTransitionError, next_state
from cometify.engine.redis import session_state
from cometify.engine.redis.session_state import TRANSITIONS, Event, State

PAIRS = [(state, event) for state in State for event in Event]


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair not in TRANSITIONS])
def test_impossible_transition_raises(pair):
    with pytest.raises(ImpossibleTransitionError, match=f"{pair[1].name} cannot happen in state {pair[0].name}"):
        next_state("Session", TRANSITIONS, *pair)


def test_impossible_transition_keeps_the_state_if_it_is_logged(monkeypatch):
    told = []
    monkeypatch.setattr(state_table, "on_impossible", lambda _subject, *pair: told.append(pair))
    assert next_state("Session", TRANSITIONS, State.READY, Event.STARTED) is State.READY
    assert told == [(State.READY, Event.STARTED)]


def test_table_in_the_docstring_is_the_table_in_the_code():
    rows = [line.split()[:3] for line in session_state.__doc__.splitlines() if line.startswith("    ")][2:]
    written = {}
    for state, event, after in rows:
        for name in State if state == "any" else [State[state]]:
            written[name, Event[event]] = State[after]
    assert written == TRANSITIONS


def test_session_goes_through_the_states(nodes):
    session = nodes[0].server.engine._session
    assert session.state is State.READY
    nodes.cut(nodes[0])
    assert session.state is State.WAITING
    nodes.find()
    assert session.state is State.READY
    nodes[0].server.engine.stop()
    assert session.state is State.STOPPED
