"""Kept pushes of one kind against a plain list from which the oldest is simply taken."""

import gc
import weakref

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from cometify.core.kept_pushes import DROPS, SMALLEST_FRAME, Dropped, KeptPushes, most_drops
from cometify.core.push import Push
from cometify.core.ring_block import BLOCK


def push(position, size=10, push_id=None):
    return Push("chat", push_id, False, position, b"x" * size)


def beginning_at(floor, since=0):
    return KeptPushes(Dropped(floor), since)


class Plain:
    def __init__(self):
        self.pushes = []
        self.floor = 5

    @property
    def size(self):
        return sum(len(one.frame) for one in self.pushes)

    def drop(self):
        self.floor = self.pushes.pop(0).position

    def append(self, one, most_pushes, most_bytes):
        self.pushes.append(one)
        while len(self.pushes) > most_pushes or self.size > most_bytes:
            self.drop()

    def highest_push_id(self, after, through):
        found = [one for one in self.pushes if after < one.position <= through]
        return max([one.push_id for one in found if one.push_id is not None], default=-1)


def newest(everything, floor, since=0):
    return max([since, floor, *[one.position for one in everything]])


appends = st.tuples(st.integers(1, 3), st.integers(1, 60), st.none() | st.integers(0, 9))


@given(
    st.lists(st.tuples(appends, st.sampled_from([1, 1, 2, 70])), max_size=12),
    st.sampled_from([1, 3, 66, 100, 10**6]),
    st.sampled_from([50, 1000, 10**6]),
    st.lists(st.integers(0, 80), max_size=12),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=4, max_size=8),
)
@settings(max_examples=80)
def test_kept_pushes_are_a_list_that_loses_its_oldest(steps, most_pushes, most_bytes, drops, spans):
    kept, plain = beginning_at(5), Plain()
    position = 10
    for number, ((step, size, push_id), times) in enumerate(steps):
        for _ in range(times):
            position += step
            one = push(position, size, push_id)
            before = plain.size
            plain.append(one, most_pushes, most_bytes)
            assert kept.append(one, most_pushes, most_bytes) == plain.size - before
        for _ in range(min(drops[number] if number < len(drops) else 0, len(plain.pushes))):
            assert kept.drop_oldest() == len(plain.pushes[0].frame)
            plain.drop()
        assert len(kept) == len(plain.pushes)
        assert kept.kept_bytes == plain.size
        assert kept.oldest == (plain.pushes[0].position if plain.pushes else None)
        assert kept.floor == plain.floor
        assert kept.newest == newest(plain.pushes, plain.floor)
        around = {one.position + beside for one in plain.pushes[:3] + plain.pushes[-3:] for beside in (-1, 0, 1)}
        for cursor in {0, position, position + 1, *around, *spans[0]}:
            above = [one for one in plain.pushes if one.position > cursor]
            assert list(kept.after(cursor)) == above
            assert kept.has_above(cursor) is bool(above)
            assert kept.bytes_after(cursor) == sum(len(one.frame) for one in above)
            assert kept.count_after(cursor) == len(above)
        for after, through in spans:
            assert kept.highest_push_id(after, through) == plain.highest_push_id(after, through)


@given(st.integers(0, 4 * BLOCK), st.integers(0, 4 * BLOCK), st.data())
def test_span_is_answered_from_blocks_and_its_ends(count, dropped, data):
    """Every offset of a block, with few pushes that count among many."""
    kept, plain = beginning_at(0), Plain()
    numbered = data.draw(st.dictionaries(st.integers(1, 4 * BLOCK), st.integers(0, 99), max_size=6))
    for position in range(1, count + 1):
        one = push(position, position % 7, numbered.get(position))
        kept.append(one, 10**6, 10**6)
        plain.pushes.append(one)
    for _ in range(min(dropped, count)):
        kept.drop_oldest()
        plain.drop()
    after = data.draw(st.integers(0, count + 1))
    through = data.draw(st.integers(0, count + 1))
    assert kept.highest_push_id(after, through) == plain.highest_push_id(after, through)
    assert kept.bytes_after(after) == sum(len(one.frame) for one in plain.pushes if one.position > after)


def test_push_longer_than_the_bound_is_dropped_and_known_lost():
    kept = beginning_at(0)
    kept.append(push(10), 10, 50)
    assert kept.append(push(20, 51), 10, 50) == -10
    assert (len(kept), kept.kept_bytes, kept.oldest, kept.floor) == (0, 0, None, 20)


def test_lists_do_not_grow_with_what_was_dropped():
    kept = beginning_at(0)
    for position in range(1, 10_001):
        kept.append(push(position), 10, 10**6)
    assert [one.position for one in kept.after(0)] == list(range(9_991, 10_001))
    assert len(kept._pushes) == len(kept._positions) <= 2 * BLOCK + 10
    assert len(kept._blocks) == len(kept._pushes) // BLOCK


@pytest.mark.parametrize("most_pushes", [1, 10, 100])
def test_dropped_push_is_freed_at_once(most_pushes):
    """Not only when the list is cut: until then the bytes of a whole ring could be held and counted nowhere."""
    kept = beginning_at(0)
    alive = []
    for position in range(1, 151):
        one = push(position)
        alive.append(weakref.ref(one))
        kept.append(one, most_pushes, 10**6)
    del one
    gc.collect()
    assert sum(ref() is not None for ref in alive) == len(kept) == most_pushes


def test_lowered_bound_is_reached_in_bounded_steps():
    kept = beginning_at(0)
    for position in range(1, 1001):
        kept.append(push(position), 1000, 10**6)
    counts = []
    for position in range(1001, 1011):
        kept.append(push(position), 10, 10**6)
        counts.append(len(kept))
    assert counts == [*range(1001 - DROPS, 10, 1 - DROPS), 10]


def test_large_push_may_displace_as_many_bytes_as_it_has():
    """Else the bytes that are kept would grow beyond the bound while small pushes make room for large ones."""
    kept, size = beginning_at(0), 100 * SMALLEST_FRAME
    for position in range(1, 1001):
        kept.append(push(position, SMALLEST_FRAME), 10**6, 1000 * SMALLEST_FRAME)
    for position in range(1001, 1010):
        kept.append(push(position, size), 10**6, 1000 * SMALLEST_FRAME)
        assert kept.kept_bytes <= 1000 * SMALLEST_FRAME
    assert most_drops(push(1, size)) == DROPS + 100


@pytest.mark.parametrize(("position", "most", "left"), [(4, 10, 6), (4, 3, 7), (0, 10, 10), (99, 99, 0), (99, 0, 10)])
def test_pushes_up_to_a_position_are_dropped_so_many_at_once(position, most, left):
    kept = beginning_at(0)
    for at in range(1, 11):
        kept.append(push(at), 10, 1000)
    assert kept.drop_through(position, most) == 10 - left
    assert (len(kept), kept.floor) == (left, 10 - left)


def test_loss_stays_when_older_pushes_are_dropped():
    """Pushes from before a loss may still be kept, but they say nothing of how far the loss reaches."""
    kept = beginning_at(0)
    kept.append(push(10), 10, 1000)
    kept.lose(30)
    assert (kept.floor, kept.began, kept.newest) == (30, 30, 30)
    assert [one.position for one in kept.after(0)] == [10]
    kept.drop_oldest()
    assert kept.floor == 30
    kept.lose(5)
    assert (kept.floor, kept.began) == (30, 30)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60)), min_size=1, max_size=30),
    st.sampled_from([1, 1, 9]),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(0, 30),
)
@example([(1, 1), (1, 2), (1, 3)], 50, [30, 90], 0)
def test_prepended_pushes_are_as_if_all_were_read_at_once(made, times, depths, kept_from):
    """`kept_from`: pushes up to there have been dropped by now where they are kept."""
    everything, position = [], 0
    for step, size in made * times:
        position += step
        everything.append(push(position, size, position % 11))
    floor = max([one.position for one in everything[:kept_from]], default=0)
    middle = len(everything) // 2
    kept = beginning_at(0, everything[middle].position)
    for one in everything[middle + 1 :]:
        kept.append(one, 1000, 10**6)
    for depth in depths:
        cursor = max(0, position - depth)
        if cursor >= kept.since:
            continue
        was, before = kept.since, kept.kept_bytes
        older = [one for one in everything[kept_from:] if cursor < one.position <= was]
        assert kept.prepend(older, cursor, floor) == kept.kept_bytes - before
        assert kept.since == cursor
        for at in range(cursor, position + 2):
            above = [one for one in everything if one.position > at]
            if at >= kept.floor:
                assert list(kept.after(at)) == above
                assert kept.highest_push_id(at, position) == max([one.push_id for one in above], default=-1)
            else:
                assert any(one in everything[:kept_from] for one in above), "no loss is told where none can be"
            assert kept.bytes_after(at) == sum(len(one.frame) for one in kept.after(at))
        assert kept.newest == newest([one for one in everything if one.position > cursor], kept.floor, cursor)


@given(st.lists(st.none() | st.integers(0, 9), max_size=12), st.integers(0, 3))
def test_summary_tells_what_was_dropped(made, most_pushes):
    kept = beginning_at(0)
    pushes = [push(at, 2, push_id) for at, push_id in enumerate(made, 1)]
    for one in pushes:
        kept.append(one, most_pushes, 1000)
    dropped = pushes[: max(0, len(pushes) - most_pushes)]
    assert kept.dropped == Dropped(
        max([one.position for one in dropped], default=0),
        max([one.push_id for one in dropped if one.push_id is not None], default=-1),
        max([one.position for one in dropped if one.push_id is None], default=0),
    )


def test_prepended_pushes_do_not_lower_what_was_dropped():
    kept = beginning_at(0, since=50)
    for position in (60, 80):
        kept.append(push(position), 1, 1000)
    assert kept.dropped == Dropped(60, unnumbered=60)
    kept.prepend([push(20)], 10, 15)
    assert (kept.began, kept.floor) == (15, 60)
    kept.drop_oldest()
    assert kept.dropped == Dropped(60, unnumbered=60)


def test_latest_come_first_and_none_that_was_dropped():
    kept = beginning_at(0)
    assert list(kept.latest()) == []
    for position in range(1, 100):
        kept.append(push(position), 3, 1000)
        assert [one.position for one in kept.latest()] == list(range(position, max(0, position - 3), -1))


def test_last_push_with_an_excluded_listener_is_known():
    def excluding(position):
        return Push("chat", None, False, position, b"x", None, "01234567")

    kept = beginning_at(0, since=50)
    assert kept.excluding == 0
    kept.append(push(60), 10, 10**6)
    assert kept.excluding == 0
    kept.prepend([excluding(10), push(20), excluding(30), push(40)], 0, 0)
    assert kept.excluding == 30
    kept.append(excluding(70), 10, 10**6)
    kept.append(push(80), 10, 10**6)
    assert kept.excluding == 70
    kept.prepend([], 0, 0)
    assert kept.excluding == 70
