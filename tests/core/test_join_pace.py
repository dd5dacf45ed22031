"""The pace of joins: how many are let in, and when the others are told to come back."""

import pytest

from cometify.core.errors import OVERLOADED, Refused
from cometify.core.join_pace import LATEST, JoinPace


def told(pace, now):
    """0 for a listener that is let in, else the seconds after which it is told to come back."""
    try:
        pace.take(now)
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
    pace.take(0.0)
    with pytest.raises(Refused) as refused:
        pace.take(0.0)
    assert refused.value.code is OVERLOADED
    assert "in 1 s" in refused.value.detail


def test_without_a_pace_everybody_is_let_in():
    assert [told(JoinPace(None), 0.0) for _ in range(3)] == [0] * 3
