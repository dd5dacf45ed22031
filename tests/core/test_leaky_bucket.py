"""The leaky bucket, compared with the sentence that it stands for."""

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import given

from cometify.core.leaky_bucket import LeakyBucket

SECOND = 1_000_000
ASKS = st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 5)), max_size=60)
"""Microseconds since the last time, and how many things are asked for then."""


def ask(bucket, count, rate, burst, now):
    wait = bucket.wait(count, rate, burst, now)
    if not wait:
        bucket.put(count)
    return wait


@given(ASKS, st.integers(1, 5000), st.integers(5, 20))
def test_lets_through_what_fits_and_nothing_above(asks, rate, burst):
    """The reference counts free places as fractions: `burst` at first, `rate` more each second, never above `burst`."""
    bucket, free, now = LeakyBucket(), Fraction(burst), 0
    passed = []
    for pause, count in asks:
        now += pause
        free = min(Fraction(burst), free + Fraction(pause * rate, SECOND))
        wait = ask(bucket, count, rate, burst, now)
        assert (wait == 0) == (free >= count), "nothing is refused while there is room"
        if wait == 0:
            free -= count
            passed.append((now, count))
        else:
            assert wait == -((free - count) * SECOND // rate), "the shortest wait, in whole microseconds"
    for first, (began, _count) in enumerate(passed):
        total = 0
        for at, count in passed[first:]:
            total += count
            assert total <= burst + Fraction((at - began) * rate, SECOND), "over every time"


@given(ASKS, st.integers(1, 50))
def test_whoever_waits_as_long_as_told_is_let_through(asks, rate):
    bucket, now = LeakyBucket(), 0
    for pause, count in asks:
        now += pause
        wait = ask(bucket, count, rate, 5, now)
        if wait:
            assert bucket.wait(count, rate, 5, now + wait - 1) == 1
            now += wait
            assert ask(bucket, count, rate, 5, now) == 0


@given(st.integers(1, 20), st.integers(1, 50), st.integers(0, 60 * SECOND))
def test_empty_bucket_does_the_same_as_a_new_one(count, rate, pause):
    bucket = LeakyBucket()
    assert ask(bucket, count, rate, 20, 7) == 0
    assert bucket.is_empty(7 + pause) == (bucket.wait(20, rate, 20, 7 + pause) == 0)


def test_clock_that_goes_back_locks_nobody_out():
    bucket = LeakyBucket()
    assert ask(bucket, 5, 1, 5, 3600 * SECOND) == 0
    assert ask(bucket, 1, 1, 5, 0) == SECOND
    assert ask(bucket, 1, 1, 5, SECOND) == 0
