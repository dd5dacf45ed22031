"""Filters that are arranged for a replay let the same pushes through as each tried by itself."""

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.filter_front import FilterFront
from cometify.core.group_filter import GroupFilter
from cometify.core.push import Push

POSITIONS = st.integers(0, 8)
FILTERS = st.builds(
    lambda secret, above, since, later: GroupFilter(secret, above, since, since + later),
    st.booleans(),
    st.integers(-1, 5),
    POSITIONS,
    st.integers(0, 3),
)
PUSHES = st.builds(
    lambda push_id, secret, position: Push("chat", push_id, secret, position, b"{}"),
    st.none() | st.integers(0, 6),
    st.booleans(),
    st.integers(0, 12),
)


@given(st.lists(FILTERS, max_size=12), st.lists(PUSHES, max_size=30))
def test_front_lets_through_what_any_of_its_filters_does(filters, pushes):
    front = FilterFront(filters)
    assert [front(push) for push in pushes] == [any(lets(push) for lets in filters) for push in pushes]
