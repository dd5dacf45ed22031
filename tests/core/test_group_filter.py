"""The filter that a group has for each of its identifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.group_filter import GroupFilter, filter_on_joining, sees_secret, settled
from cometify.core.position import REPLAY_WINDOW, RETENTION
from cometify.core.push import Push

NOW = 1_764_000_000_000_000


def push(push_id=None, position=NOW + 1, *, secret=False):
    return Push("chat", push_id, secret, position, b"{}")


@pytest.mark.parametrize(
    ("internal_id", "position", "wants"),
    [
        (None, None, GroupFilter(False, -1, NOW, NOW)),
        (59, None, GroupFilter(False, 59, NOW - REPLAY_WINDOW, NOW)),
        (0, None, GroupFilter(False, -1, NOW - RETENTION, NOW - RETENTION)),
        (None, 7, GroupFilter(False, -1, 7, 7)),
        (59, 7, GroupFilter(False, 59, 7, 7)),
        (0, 7, GroupFilter(False, -1, 7, 7)),
        (None, 0, GroupFilter(False, -1, 0, 0)),
    ],
)
@pytest.mark.parametrize("right", [False, True])
def test_filter_on_joining_is_that_of_the_table(internal_id, position, wants, right):
    found = filter_on_joining(internal_id, position, right, NOW)
    assert (found.secret, found.above, found.since, found.unnumbered_since) == (
        right,
        wants.above,
        wants.since,
        wants.unnumbered_since,
    )


def test_plain_group_gets_future_pushes_only():
    wants = filter_on_joining(None, None, False, NOW)
    assert not wants(push(1, NOW))
    assert wants(push(0))
    assert wants(push(None))


def test_internal_id_gets_three_minutes_of_higher_push_ids():
    wants = filter_on_joining(59, None, False, NOW)
    assert wants(push(60, NOW - REPLAY_WINDOW + 1))
    assert not wants(push(60, NOW - REPLAY_WINDOW))
    assert not wants(push(59, NOW - 1))
    assert not wants(push(59))
    assert not wants(push(None, NOW))
    assert wants(push(None))


def test_internal_id_zero_gets_ten_minutes_of_everything():
    wants = filter_on_joining(0, None, False, NOW)
    for push_id in (None, 0, 1):
        assert wants(push(push_id, NOW - RETENTION + 1))
        assert not wants(push(push_id, NOW - RETENTION))


def test_resuming_gets_later_pushes_that_its_id_lets_through():
    wants = filter_on_joining(59, 7, False, NOW)
    assert wants(push(None, 8))
    assert wants(push(60, 8))
    assert not wants(push(59, 8))
    assert not wants(push(60, 7))


@pytest.mark.parametrize("right", [False, True])
def test_secret_pushes_need_the_right(right):
    wants = filter_on_joining(None, None, right, NOW)
    assert wants(push(1, secret=True)) is right
    assert wants(push(None, secret=True)) is right
    assert wants(push(1))


def test_right_and_internal_id_remain_at_the_head():
    assert settled([filter_on_joining(59, None, True, NOW)]) == (GroupFilter(True, 59),)


def test_going_on_repeats_nothing_and_takes_the_new_right():
    wants = filter_on_joining(59, None, True, NOW)
    assert wants.going_on(False, NOW - 5) == GroupFilter(False, 59, NOW - 5, NOW)
    assert wants.going_on(True, NOW + 5) == GroupFilter(True, 59, NOW + 5, NOW + 5)
    assert wants.going_on(True, 0) == wants


joined = st.builds(
    filter_on_joining,
    st.none() | st.integers(0, 5),
    st.none() | st.integers(NOW - 5, NOW + 5),
    st.booleans(),
    st.just(NOW),
)


@given(st.lists(joined, min_size=1), st.none() | st.integers(0, 6), st.integers(NOW + 6, NOW + 9), st.booleans())
def test_settled_filters_are_the_same_above_the_head(filters, push_id, later, secret):
    one = push(push_id, later, secret=secret)
    few = settled(filters)
    assert any(lets(one) for lets in few) == any(lets(one) for lets in filters)
    assert sees_secret(few) == sees_secret(filters)


@given(st.lists(joined, min_size=1))
def test_settled_filters_are_one_for_each_right(filters):
    rights = [one.secret for one in settled(filters)]
    assert len(set(rights)) == len(rights)
