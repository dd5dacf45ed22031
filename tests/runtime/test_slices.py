"""Work on many listeners in steps: none takes longer than its bound, and one fault stops nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent, globalLogPublisher

from cometify.runtime.slices import LONGEST, STEP, TIMED, SlicedWork
from tests.delivery.loop import Loop
from tests.fakes import Peer


@given(st.lists(st.integers(0, 3 * STEP), max_size=4))
def test_no_step_serves_more_than_its_bound(sizes):
    loop = Loop()
    work = SlicedWork(loop.later, Peer.in_words)
    served = []
    jobs = [[Peer() for _ in range(size)] for size in sizes]
    for number, job in enumerate(jobs):
        work.add(f"job {number}", job, lambda: served.append)
    assert served == []
    while loop.due:
        assert len(loop.due) == 1
        before = len(served)
        loop.turn()
        assert len(served) - before <= STEP
    assert served == [listener for job in jobs for listener in job]


def test_costly_items_end_a_step_early():
    loop, served, seconds = Loop(), [], [0.0]
    work = SlicedWork(loop.later, str, clock=lambda: seconds[0])

    def serve(item):
        served.append(item)
        seconds[0] += LONGEST / 2

    work.add("costly", range(3 * TIMED), lambda: serve)
    for step in (1, 2, 3):
        loop.turn()
        assert len(served) == step * TIMED
    loop.turns()
    assert (served, work.is_busy) == (list(range(3 * TIMED)), False)


def test_work_is_busy_until_the_last_listener_is_served():
    loop = Loop()
    work, served = SlicedWork(loop.later, Peer.in_words), []
    assert not work.is_busy
    work.add("job", [Peer() for _ in range(2 * STEP)], lambda: served.append)
    while len(served) < 2 * STEP:
        assert work.is_busy
        loop.turn()
    loop.turns()
    assert not work.is_busy


def test_listeners_that_come_later_are_not_of_the_job():
    loop, served, listeners = Loop(), [], {Peer(): None for _ in range(STEP + 1)}
    SlicedWork(loop.later, Peer.in_words).add("job", listeners, lambda: served.append)
    first = list(listeners)
    loop.turn()
    listeners[Peer()] = None
    loop.turns()
    assert served == first


def test_first_step_is_taken_at_once_only_where_no_job_waits():
    loop = Loop()
    work, served = SlicedWork(loop.later, Peer.in_words), []
    first, second = ([Peer() for _ in range(STEP + 1)] for _ in range(2))
    work.add("job", first, lambda: served.append, at_once=True)
    work.add("job", second, lambda: served.append, at_once=True)
    assert served == first[:STEP]
    loop.turns()
    assert served == first + second


def test_function_is_made_for_each_step():
    loop, steps = Loop(), []

    def begin():
        steps.append([])
        return steps[-1].append

    SlicedWork(loop.later, Peer.in_words).add("job", [Peer() for _ in range(2 * STEP + 1)], begin)
    loop.turns()
    assert [len(step) for step in steps if step] == [STEP, STEP, 1]


def test_work_added_by_the_work_comes_after_it():
    loop = Loop()
    work, served = SlicedWork(loop.later, Peer.in_words), []
    first, second = Peer(), Peer()

    def serve(listener):
        served.append(listener)
        if listener is first:
            work.add("more", [second], lambda: serve)

    work.add("job", [first], lambda: serve)
    loop.turns()
    assert served == [first, second]


def test_done_is_called_behind_the_last_item_and_may_add_work():
    loop = Loop()
    work, served = SlicedWork(loop.later, str, most=3), []

    def more():
        served.append("done")
        work.add("more", [5, 6, 7], lambda: served.append, at_once=True)

    work.add("job", [1, 2, 3, 4], lambda: served.append, at_once=True, done=more)
    assert served == [1, 2, 3]
    loop.turn()
    assert served == [1, 2, 3, 4, "done", 5, 6], "one step has its bound, whatever is added in it"
    assert work.is_busy
    loop.turns()
    assert (served[-1], work.is_busy) == (7, False)


def test_done_of_an_empty_job_is_called():
    loop, served = Loop(), []
    SlicedWork(loop.later, str).add("job", [], lambda: served.append, done=lambda: served.append("done"))
    loop.turns()
    assert served == ["done"]


@pytest.fixture
def told():
    told = []
    globalLogPublisher.addObserver(told.append)
    yield told
    globalLogPublisher.removeObserver(told.append)


def test_fault_with_one_listener_is_logged_with_its_task(told):
    loop, served = Loop(), []
    listeners = [Peer() for _ in range(2 * STEP)]

    def serve(listener):
        served.append(listener)
        if listener is listeners[1]:
            raise ZeroDivisionError

    SlicedWork(loop.later, Peer.in_words).add("Counting", listeners, lambda: serve)
    loop.turns()
    assert served == listeners
    assert [formatEvent(event) for event in told] == ["Counting failed for a listener on stream"]


def test_fault_of_a_step_does_not_stop_the_next_job():
    loop, served = Loop(), []
    work = SlicedWork(loop.later, Peer.in_words)

    def broken():
        raise ZeroDivisionError

    work.add("broken", [Peer()], broken)
    work.add("job", [Peer()], lambda: served.append)
    with pytest.raises(ZeroDivisionError):
        loop.turns()
    loop.turns()
    assert len(served) == 1
