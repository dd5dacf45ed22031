"""The pace of joins: how many are let in, and when the others are told to come back."""

from itertools import count

import pytest

from cometify.core.errors import OVERLOADED, Refused
from cometify.core.join_pace import LATEST, LEAST_SHARE, SHARES, JoinPace

ADDRESSES = (("1", f"10.0.{number // 250}.{number % 250}") for number in count())
ONE = "1", "192.0.2.1"


def told(pace, now, client_key=None):
    """0 for a listener that is let in, else the seconds after which it is told to come back. Each has an address of its own."""
    try:
        pace.take(now, client_key or next(ADDRESSES))
    except Refused as refused:
        return refused.retry
    return 0


@pytest.mark.parametrize("now", [0.0, 1e9, 123456.789])
def test_refused_listeners_are_spread_over_the_seconds_they_need(now):
    pace = JoinPace(100)
    times = [told(pace, now) for _ in range(1100)]
    assert times[:100] == [0] * 100
    assert set(times[100:]) == set(range(1, 11))
    assert max(times.count(second) for second in range(1, 11)) <= 101


def test_no_time_is_later_than_the_latest():
    pace = JoinPace(2)
    times = [told(pace, 0.0) for _ in range(1000)]
    assert LATEST - 1 <= max(times) <= LATEST
    assert max(times.count(second) for second in set(times) - {0}) < 20, "the times begin again, and stay spread"


def test_times_begin_again_at_one_second_after_a_storm():
    pace = JoinPace(10)
    assert max(told(pace, 0.0) for _ in range(100)) == 9
    assert [told(pace, 100.0) for _ in range(11)] == [0] * 10 + [1]


def test_refusal_says_when_to_come_back():
    pace = JoinPace(1)
    pace.take(0.0, ONE)
    with pytest.raises(Refused) as refused:
        pace.take(0.0, ONE)
    assert refused.value.code is OVERLOADED
    assert "in 1 s" in refused.value.detail


def test_without_a_pace_everybody_is_let_in():
    assert [told(JoinPace(None), 0.0) for _ in range(3)] == [0] * 3


@pytest.mark.parametrize(("per_second", "share"), [(50, LEAST_SHARE), (800, 800 // SHARES)])
def test_one_address_leaves_room_for_others(per_second, share):
    pace = JoinPace(per_second)
    times = [told(pace, 7.0, ONE) for _ in range(5 * share)]
    assert times == [0] * share + [1] * (share - 1) + [2] * share + [3] * share + [4] * share + [5]
    assert [told(pace, 7.0) for _ in range(per_second - share)] == [0] * (per_second - share)
    assert told(pace, 7.0) == 1, "those who are refused because of their address are no part of the storm of the others"
    assert told(pace, 8.6, ONE) == 0
