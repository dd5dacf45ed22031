"""An impossible transition of a listener in production: it is logged, and the server goes on."""

from twisted.logger import formatEvent, globalLogPublisher

from cometify.app.impossible import log_impossible_transitions
from cometify.core import state_table
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State


def test_impossible_transition_is_logged_with_its_stack(monkeypatch):
    told = []
    monkeypatch.setattr(state_table, "on_impossible", state_table.on_impossible)  # put back after the test
    log_impossible_transitions()
    globalLogPublisher.addObserver(told.append)
    try:
        listener = Listener()
        listener.transition(Event.WRITABLE)
    finally:
        globalLogPublisher.removeObserver(told.append)
    assert listener.state is State.BEHIND
    (text,) = [formatEvent(event) for event in told]
    assert "WRITABLE cannot happen in state BEHIND" in text
    assert "Traceback" in text
    assert "test_impossible_transition_is_logged_with_its_stack" in text
