"""The index of listeners by internal id, beside the naive way, and its cost."""

import time

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cometify.core import group_filter
from cometify.core.filter_index import FilterIndex
from cometify.core.group_filter import GroupFilter
from cometify.core.integer import MAX_ID
from cometify.core.listener import Listener
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.delivery.registry import Registry
from tests.fakes import Peer

NAMES = ("chat", "metrics", "tweets")
NOW = 1_000
group_filters = st.builds(
    GroupFilter, st.booleans(), st.sampled_from([-1, -1, 0, 1, 3, 5, MAX_ID]), st.integers(0, NOW), st.integers(0, NOW)
)
filters = st.dictionaries(
    st.sampled_from(NAMES), st.lists(group_filters, min_size=1, max_size=3).map(tuple), min_size=1
)
KINDS = [(name, secret) for name in NAMES for secret in (False, True)]
PUSH_IDS = (None, 0, 1, 2, 3, 4, 5, 6, MAX_ID)


def is_unwilling(given_filters, kind, push_id):
    """Ask every group of a listener, as long as its view may see the push at all."""
    name, secret = kind
    groups = given_filters.get(name, ())
    if not any(group.secret or not secret for group in groups):
        return False
    push = Push(name, push_id, secret, NOW + 1, b"")
    return not any(group(push) for group in groups)


def settled(given_filters):
    return {name: group_filter.settled(groups) for name, groups in given_filters.items()}


@given(st.lists(st.tuples(filters, st.booleans(), st.booleans()), max_size=8))
def test_index_finds_whom_the_naive_way_finds(joined):
    index, expected = FilterIndex(), {}
    for given_filters, settles, parts in joined:
        listener = Listener()
        index.add(listener, given_filters)
        kept = settled(given_filters) if settles else given_filters
        if parts:
            index.discard(listener, kept)
        else:
            expected[listener] = kept
    for kind in KINDS:
        for push_id in PUSH_IDS:
            unwilling = [one for one, given_filters in expected.items() if is_unwilling(given_filters, kind, push_id)]
            assert index.count_unwilling(kind, push_id) == len(unwilling)
            if push_id is not None:
                assert index.unwilling({kind: push_id}, expected) == unwilling
                assert index.unwilling({kind: push_id}, list(expected)[1:]) == [
                    one for one in unwilling if one is not next(iter(expected))
                ]
    assert index.count == sum(
        any(is_unwilling(given_filters, kind, 0) for kind in KINDS) for given_filters in expected.values()
    )


@given(st.lists(filters, max_size=6))
def test_index_is_empty_after_all_have_left(joined):
    index = FilterIndex()
    listeners = [(Listener(), given_filters) for given_filters in joined]
    for listener, given_filters in listeners:
        index.add(listener, given_filters)
    for listener, given_filters in listeners:
        index.discard(listener, given_filters)
    assert index.count == 0
    assert not index._by_kind


def test_each_kind_of_push_has_its_own_threshold():
    index = FilterIndex()
    first, second = Listener(), Listener()
    index.add(first, {"chat": (GroupFilter(True, 5), GroupFilter(False, 3))})
    index.add(second, {"metrics": (GroupFilter(False, 7),)})
    lowest = {("chat", True): 5, ("chat", False): 4, ("metrics", False): 7, ("tweets", False): 0}
    assert index.unwilling(lowest, [first, second]) == [first, second]
    assert index.unwilling({**lowest, ("chat", True): 6}, [first, second]) == [second]


def seconds_for_a_push(pages, unwilling):
    """Measure the announcement of a push. `unwilling`: the pages with the highest internal id that there is."""
    registry = Registry(lambda _view: None, lambda _seconds, _call: None)
    ring = RingBuffer.beginning_at(("37282591", "chat"), 0)
    for internal_id in [*range(pages), *[MAX_ID] * unwilling]:
        page = Peer()
        registry.enter(page, {"chat": ring}, (), lambda: 0, {"chat": (GroupFilter(False, internal_id),)})
        page.go_live()
    best = 1.0
    for push_id in range(pages, pages + 30):
        push = Push("chat", push_id, False, push_id, b"{}")
        begin = time.process_time()
        assert registry.count(("37282591", "chat"), False, push_id) == pages
        registry.announce(ring, push)
        best = min(best, time.process_time() - begin)
    assert len(page.view.live) == pages + unwilling
    return best


@pytest.mark.parametrize("unwilling", [1, 10_000])
def test_announcing_costs_the_same_for_any_number_of_filters(unwilling):
    few, many = seconds_for_a_push(10, 1), seconds_for_a_push(10_000, unwilling)
    # A look at each of them takes a factor of 1,000. A cache that is colder may cost a few times as much.
    assert many < few * 20 + 0.000_05, (few, many)
