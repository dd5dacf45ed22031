"""The times at which the tokens of listeners expire, by a wall clock that can be set."""

import time
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from cometify.core.listener import Listener
from cometify.delivery.token_expiry import LONGEST_STEP, TOGETHER, TokenExpiry


class Ended(Listener):
    """A listener that writes down the time at which its right ends."""

    def __init__(self, world):
        super().__init__()
        self.world = world
        self.at = None
        self.is_broken = False

    def expire(self):
        if self.is_broken:
            raise ZeroDivisionError
        assert self.at is None
        self.world.ended += 1
        self.at = self.world.wall()


class World:
    """A wall clock that can be set. `steps`: how many listeners each call of the reactor has ended."""

    def __init__(self):
        self.clock = Clock()
        self.skew = 0.0
        self.ended = 0
        self.steps = []
        self.expiry = TokenExpiry(self.later, self.wall)
        self.expiry.watch(Ended.expire)

    def later(self, seconds, function):
        return self.clock.callLater(seconds, self.step, function)

    def step(self, function):
        before = self.ended
        function()
        self.steps.append(self.ended - before)

    def wall(self):
        return 1000.0 + self.clock.seconds() + self.skew

    def listener(self, until):
        listener = Ended(self)
        self.expiry.expect(listener, until)
        return listener


def ends(*listeners):
    return [listener.at for listener in listeners]


@pytest.fixture
def world():
    return World()


def test_each_listener_ends_at_its_time(world):
    late, soon, never, sent_up_to = (world.listener(until) for until in (1070.5, 1002.25, inf, 999.0))
    world.clock.advance(0)
    assert ends(late, soon, never, sent_up_to) == [None, None, None, 1000.0]
    world.clock.pump([0.25] * 400)
    assert ends(late, soon, never) == [1070.5, 1002.25, None]
    assert not world.clock.getDelayedCalls()


def test_later_time_replaces_the_earlier_one(world):
    later, sooner, free, gone = (world.listener(1010) for _ in range(4))
    world.expiry.expect(later, 1020)
    world.expiry.expect(sooner, 1005)
    world.expiry.expect(free, inf)
    world.expiry.discard(gone)
    world.clock.pump([0.5] * 60)
    assert ends(later, sooner, free, gone) == [1020, 1005, None, None]
    assert not world.clock.getDelayedCalls()


def test_five_thousand_expiries_of_one_moment_go_in_steps(world):
    listeners = [world.listener(1010) for _ in range(5_000)]
    world.clock.advance(10)
    assert 1 < max(world.steps) <= TOGETHER
    assert sum(world.steps) == 5_000
    assert ends(*listeners) == [1010] * 5_000
    assert not world.clock.getDelayedCalls()


def test_expiries_that_take_long_go_in_more_steps():
    world = World()

    class Slow(Ended):
        def expire(self):
            super().expire()
            time.sleep(LONGEST_STEP)

    world.expiry.watch(Slow.expire)
    listeners = [Slow(world) for _ in range(5)]
    for listener in listeners:
        world.expiry.expect(listener, 1010)
    world.clock.advance(10)
    world.clock.pump([0] * 5)
    assert max(world.steps) == 1
    assert ends(*listeners) == [1010] * 5


def test_fault_of_one_end_does_not_keep_the_others(world):
    listeners = [world.listener(1010) for _ in range(3)]
    listeners[1].is_broken = True
    with pytest.raises(ZeroDivisionError):
        world.clock.advance(10)
    world.clock.advance(0)
    assert ends(*listeners) == [1010, None, 1010]


@pytest.mark.parametrize(("skew", "at"), [(3600, 4601.5), (-5, 1020)])
def test_wall_clock_that_is_set_is_followed_in_a_second(world, skew, at):
    listener = world.listener(1020)
    world.clock.pump([0.5] * 2)
    world.skew = skew
    world.clock.pump([0.5] * 80)
    assert listener.at == pytest.approx(at, abs=1)


def test_poller_with_one_token_leaves_nothing_behind(world):
    stays = world.listener(5000)
    for _ in range(10_000):
        world.expiry.discard(world.listener(4000))
    assert len(world.expiry._next) + len(world.expiry._old) < 250
    world.clock.pump([0.5] * 8100)
    assert stays.at == 5000


class Seconds(float):
    """A time that counts how often it is compared."""

    compared = 0

    def __eq__(self, other):
        Seconds.compared += 1
        return float(self) == other

    def __lt__(self, other):
        Seconds.compared += 1
        return float(self) < float(other)

    __hash__ = float.__hash__


def test_no_step_goes_through_all_that_were_replaced(world):
    """The longest step is counted in comparisons: each entry that moves takes as many as the heap is deep, or two times."""
    listeners = [world.listener(Seconds(5000)) for _ in range(2_000)]
    longest = 0
    for number in range(3):
        for listener in listeners:
            before = Seconds.compared
            world.expiry.expect(listener, Seconds(4000 - number))
            longest = max(longest, Seconds.compared - before)
    assert longest < 5 * 2 * 14
    for listener in listeners[1:]:
        world.expiry.discard(listener)
    assert len(world.expiry._next) + len(world.expiry._old) < 250
    world.clock.pump([1] * 3100)
    assert ends(*listeners[:2]) == [3998, None]


def test_old_entry_does_not_end_a_listener_that_came_again(world):
    listeners = [world.listener(1010) for _ in range(200)]
    for listener in listeners:
        world.expiry.discard(listener)
        world.expiry.expect(listener, 1010)
        world.expiry.expect(listener, 1020)
    world.clock.advance(10)
    assert ends(*listeners) == [None] * 200
    world.clock.pump([1] * 10 + [0] * 10)
    assert ends(*listeners) == [1020] * 200


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([None, inf, 0, 1, 2.5, 4]), st.sampled_from([0, 0.5, 1, 3])),
        max_size=30,
    )
)
def test_each_listener_ends_at_the_last_time_given(steps):
    world = World()
    listeners = [Ended(world) for _ in range(4)]
    expected = [inf] * 4
    for which, lasts, seconds in steps:
        listener = listeners[which]
        if listener.at is None:
            if lasts is None:
                world.expiry.discard(listener)
            else:
                world.expiry.expect(listener, world.wall() + lasts)
            expected[which] = inf if lasts is None else world.wall() + lasts
        world.clock.pump([0] + [0.25] * int(seconds * 4))
        for one, at in zip(listeners, expected, strict=True):
            assert one.at == (at if at <= world.wall() else None)
