"""The table of states: every state with every event, and no other way to change a state."""

import ast
import itertools
from pathlib import Path

import pytest

import cometify
from cometify.core import listener_state, state_table
from cometify.core.encodings import STREAM_UNCHUNKED
from cometify.core.listener import Listener
from cometify.core.listener_state import TRANSITIONS, Event, State
from cometify.core.state_table import ImpossibleTransitionError
from cometify.core.view import View

PACKAGE = Path(cometify.__file__).parent
PAIRS = list(itertools.product(State, Event))


def documented():
    """Read the table in the module's docstring: (state, event) -> state."""
    found = {}
    for line in listener_state.__doc__.splitlines():
        words = line.split()
        if len(words) < 3 or words[1] not in Event.__members__:
            continue
        before, event, after = words[:3]
        for state in State if before == "any" else [State[before]]:
            found[state, Event[event]] = State[after]
    return found


class Peer(Listener):
    """A listener whose attributes a test may replace."""

    __slots__ = ("__dict__",)


def listener_in(state):
    """Make a listener that has come to `state` by allowed events."""
    listener = Peer()
    listener.encoding = STREAM_UNCHUNKED
    listener.view = View((STREAM_UNCHUNKED, ()), (), 0, lambda: 0)
    listener.wake = lambda: setattr(listener, "send", len)
    if state is State.LIVE:
        listener.go_live()
    elif state is not State.BEHIND:
        listener.transition(Event.BLOCKED if state is State.STALLED else Event.ENDED)
    assert listener.state is state
    return listener


def test_docstring_has_the_whole_table():
    assert documented() == TRANSITIONS


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.name)
def test_every_pair_leads_to_its_state_or_is_refused(state, event):
    listener = listener_in(state)
    if (state, event) in documented():
        listener.transition(event)
        assert listener.state is documented()[state, event]
    else:
        with pytest.raises(ImpossibleTransitionError, match=rf"{event.name}.*{state.name}"):
            listener.transition(event)
        assert listener.state is state


@pytest.mark.parametrize("event", [Event.DIVERGED, Event.BLOCKED, Event.RELISTENED, Event.ENDED])
def test_listener_that_stops_being_live_leaves_its_view(event):
    listener = listener_in(State.LIVE)
    assert listener in listener.view.live
    assert listener.send is len
    listener.transition(event)
    assert listener not in listener.view.live
    assert listener.send is None


def test_hook_that_returns_leaves_the_state(monkeypatch):
    told = []
    monkeypatch.setattr(state_table, "on_impossible", lambda _subject, *pair: told.append(pair))
    listener = listener_in(State.GONE)
    listener.transition(Event.WRITABLE)
    assert listener.state is State.GONE
    assert told == [(State.GONE, Event.WRITABLE)]


def assignments(source):
    """List the lines that assign an attribute called `state`, or call setattr for it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr == "state":
            found.append(node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            found += [node.lineno for word in node.args if isinstance(word, ast.Constant) and word.value == "state"]
    return sorted(found)


def test_only_listener_assigns_its_state():
    rooms = ("core", "delivery", "membership", "transports", "admin", "app")
    places = {
        str(file.relative_to(PACKAGE)): len(assignments(file.read_text("utf-8")))
        for room in rooms
        for file in (PACKAGE / room).rglob("*.py")
    }
    assert {place: count for place, count in places.items() if count} == {"core/listener.py": 2}


def test_assignment_of_a_state_is_found():
    assert assignments("a.state = 1\n(a.state, b) = 1, 2\nsetattr(a, 'state', 1)\na.state.x = a.state") == [1, 2, 3]


def test_table_is_looked_up_for_each_pair_that_it_has():
    for (state, event), after in TRANSITIONS.items():
        assert state_table.next_state("Listener", TRANSITIONS, state, event) is after
