"""A pass over many listeners, in steps."""

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from cometify.membership.sliced_pass import PER_STEP, SlicedPass
from cometify.transports.poll import PollListener


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def logged():
    events = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


@pytest.mark.parametrize("count", [0, 1, PER_STEP - 1, PER_STEP, PER_STEP + 1, 3 * PER_STEP])
def test_pass_visits_each_listener_once(clock, count):
    visited = []
    sliced = SlicedPass("Test", clock.callLater, visited.append)
    sliced.start(range(count))
    clock.pump([0] * 4)
    assert visited == list(range(count))
    assert not sliced.is_running


def test_new_pass_begins_again_in_the_next_step(clock):
    visited = []
    sliced = SlicedPass("Test", clock.callLater, visited.append)
    sliced.start(range(PER_STEP + 1))
    sliced.start(range(100, 100 + PER_STEP + 1))
    assert visited == list(range(PER_STEP))
    clock.pump([0] * 4)
    assert visited[PER_STEP:] == list(range(100, 100 + PER_STEP + 1))


def test_a_fault_in_one_visit_spares_no_other_listener(clock, logged):
    listeners = [PollListener(None, None) for _ in range(3)]
    visited = []

    def visit(listener):
        visited.append(listener)
        if listener is listeners[1]:
            raise ValueError

    SlicedPass("The test", clock.callLater, visit).start(listeners)
    assert visited == listeners
    (event,) = [event for event in logged if "log_failure" in event]
    assert (event["task"], event["transport"]) == ("The test", "poll")
