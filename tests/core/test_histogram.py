"""The histogram, against the values that it has seen."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cometify.core.histogram import BOUNDS, SIZES, STAYS, Histogram


@given(st.sampled_from([BOUNDS, STAYS, SIZES]), st.lists(st.floats(0, 1e8)))
def test_each_value_is_in_the_first_bucket_that_holds_it(bounds, values):
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    below = [sum(value <= bound for value in values) for bound in bounds]
    assert [sum(histogram.counts[: index + 1]) for index in range(len(bounds))] == below
    assert sum(histogram.counts) == len(values)
    assert histogram.total == pytest.approx(sum(values))


def test_bounds_grow():
    assert all(list(bounds) == sorted(set(bounds)) for bounds in (BOUNDS, STAYS, SIZES))
