"""The ring against a plain list from which the oldest is simply taken."""

import gc
import weakref

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from cometify.core.push import Push
from cometify.core.ring import DROPS, SMALLEST_FRAME, Dropped, RingBuffer, most_drops
from cometify.core.ring_block import BLOCK

CHANNEL = ("37282591", "chat")


def push(position, size=10, push_id=None, *, secret=False):
    return Push("chat", push_id, secret, position, b"x" * size)


class Plain:
    def __init__(self):
        self.pushes = []
        self.floor = 5
        self.secret_floor = 3

    @property
    def size(self):
        return sum(len(one.frame) for one in self.pushes)

    def drop(self):
        gone = self.pushes.pop(0)
        if gone.secret:
            self.secret_floor = gone.position
        else:
            self.floor = gone.position

    def append(self, one, most_pushes, most_bytes):
        self.pushes.append(one)
        while len(self.pushes) > most_pushes or self.size > most_bytes:
            self.drop()

    def highest_push_id(self, after, through, secret):
        found = [one for one in self.pushes if after < one.position <= through and (secret or not one.secret)]
        return max([one.push_id for one in found if one.push_id is not None], default=-1)


def newest(everything, floors, since=0):
    return max([since, *floors, *[one.position for one in everything]])


appends = st.tuples(st.integers(1, 3), st.integers(1, 60), st.none() | st.integers(0, 9), st.booleans())


@given(
    st.lists(st.tuples(appends, st.sampled_from([1, 1, 2, 70])), max_size=12),
    st.sampled_from([1, 3, 66, 100, 10**6]),
    st.sampled_from([50, 1000, 10**6]),
    st.lists(st.integers(0, 80), max_size=12),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=4, max_size=8),
)
@settings(max_examples=80)
def test_ring_is_a_list_that_loses_its_oldest(steps, most_pushes, most_bytes, drops, spans):
    ring, plain = RingBuffer(CHANNEL, 5, 3), Plain()
    position = 10
    for number, ((step, size, push_id, secret), times) in enumerate(steps):
        for _ in range(times):
            position += step
            one = push(position, size, push_id, secret=secret)
            before = plain.size
            plain.append(one, most_pushes, most_bytes)
            assert ring.append(one, most_pushes, most_bytes) == plain.size - before
        for _ in range(min(drops[number] if number < len(drops) else 0, len(plain.pushes))):
            assert ring.drop_oldest() == len(plain.pushes[0].frame)
            plain.drop()
        assert len(ring) == len(plain.pushes)
        assert ring.kept_bytes == plain.size
        assert ring.oldest == (plain.pushes[0].position if plain.pushes else None)
        assert (ring.floor, ring.secret_floor) == (plain.floor, plain.secret_floor)
        assert ring.lost_since(secret=False) == plain.floor
        assert ring.lost_since(secret=True) == max(plain.floor, plain.secret_floor)
        public = [one for one in plain.pushes if not one.secret]
        assert ring.newest(secret=False) == newest(public, [plain.floor])
        assert ring.newest(secret=True) == newest(plain.pushes, [plain.floor, plain.secret_floor])
        around = {one.position + beside for one in plain.pushes[:3] + plain.pushes[-3:] for beside in (-1, 0, 1)}
        for cursor in {0, position, position + 1, *around, *spans[0]}:
            above = [one for one in plain.pushes if one.position > cursor]
            assert list(ring.after(cursor)) == above
            assert ring.bytes_after(cursor) == sum(len(one.frame) for one in above)
        for after, through in spans:
            for secret_too in (False, True):
                found = ring.highest_push_id(after, through, secret_too)
                assert found == plain.highest_push_id(after, through, secret_too)


@given(st.integers(0, 4 * BLOCK), st.integers(0, 4 * BLOCK), st.data())
def test_span_is_answered_from_blocks_and_its_ends(count, dropped, data):
    """Every offset of a block, with few pushes that count among many."""
    ring, plain = RingBuffer(CHANNEL, 0, 0), Plain()
    numbered = data.draw(st.dictionaries(st.integers(1, 4 * BLOCK), st.integers(0, 99), max_size=6))
    for position in range(1, count + 1):
        one = push(position, position % 7, numbered.get(position), secret=position % 5 == 0)
        ring.append(one, 10**6, 10**6)
        plain.pushes.append(one)
    for _ in range(min(dropped, count)):
        ring.drop_oldest()
        plain.drop()
    after = data.draw(st.integers(0, count + 1))
    through = data.draw(st.integers(0, count + 1))
    for secret in (False, True):
        assert ring.highest_push_id(after, through, secret) == plain.highest_push_id(after, through, secret)
    assert ring.bytes_after(after) == sum(len(one.frame) for one in plain.pushes if one.position > after)


def test_secret_push_raises_only_the_floor_of_those_who_see_it():
    ring = RingBuffer(CHANNEL, 0, 0)
    ring.append(push(10, secret=True), 1, 1000)
    ring.append(push(20), 1, 1000)
    assert ring.lost_since(secret=False) == 0
    assert ring.lost_since(secret=True) == 10


def test_push_longer_than_the_bound_is_dropped_and_known_lost():
    ring = RingBuffer(CHANNEL, 0, 0)
    ring.append(push(10), 10, 50)
    assert ring.append(push(20, 51), 10, 50) == -10
    assert (len(ring), ring.kept_bytes, ring.oldest, ring.floor) == (0, 0, None, 20)


def test_lists_do_not_grow_with_what_was_dropped():
    ring = RingBuffer(CHANNEL, 0, 0)
    for position in range(1, 10_001):
        ring.append(push(position), 10, 10**6)
    assert [one.position for one in ring.after(0)] == list(range(9_991, 10_001))
    assert len(ring._pushes) == len(ring._positions) <= 2 * BLOCK + 10
    assert len(ring._blocks) == len(ring._pushes) // BLOCK


@pytest.mark.parametrize("most_pushes", [1, 10, 100])
def test_dropped_push_is_freed_at_once(most_pushes):
    """Not only when the list is cut: until then the bytes of a whole ring could be held and counted nowhere."""
    ring = RingBuffer(CHANNEL, 0, 0)
    alive = []
    for position in range(1, 151):
        one = push(position)
        alive.append(weakref.ref(one))
        ring.append(one, most_pushes, 10**6)
    del one
    gc.collect()
    assert sum(ref() is not None for ref in alive) == len(ring) == most_pushes


def test_lowered_bound_is_reached_in_bounded_steps():
    ring = RingBuffer(CHANNEL, 0, 0)
    for position in range(1, 1001):
        ring.append(push(position), 1000, 10**6)
    kept = []
    for position in range(1001, 1011):
        ring.append(push(position), 10, 10**6)
        kept.append(len(ring))
    assert kept == [*range(1001 - DROPS, 10, 1 - DROPS), 10]


def test_large_push_may_displace_as_many_bytes_as_it_has():
    """Else the bytes that are kept would grow beyond the bound while small pushes make room for large ones."""
    ring, size = RingBuffer(CHANNEL, 0, 0), 100 * SMALLEST_FRAME
    for position in range(1, 1001):
        ring.append(push(position, SMALLEST_FRAME), 10**6, 1000 * SMALLEST_FRAME)
    for position in range(1001, 1010):
        ring.append(push(position, size), 10**6, 1000 * SMALLEST_FRAME)
        assert ring.kept_bytes <= 1000 * SMALLEST_FRAME
    assert most_drops(push(1, size)) == DROPS + 100


@pytest.mark.parametrize(("position", "most", "left"), [(4, 10, 6), (4, 3, 7), (0, 10, 10), (99, 99, 0), (99, 0, 10)])
def test_pushes_up_to_a_position_are_dropped_so_many_at_once(position, most, left):
    ring = RingBuffer(CHANNEL, 0, 0)
    for at in range(1, 11):
        ring.append(push(at), 10, 1000)
    assert ring.drop_through(position, most) == 10 - left
    assert (len(ring), ring.floor) == (left, 10 - left)


def test_loss_stays_when_older_pushes_are_dropped():
    """Pushes from before a loss may still be kept, but they say nothing of how far the loss reaches."""
    ring = RingBuffer(CHANNEL, 0, 0)
    ring.append(push(10), 10, 1000)
    ring.append(push(20, secret=True), 10, 1000)
    ring.lose(30)
    assert (ring.floor, ring.secret_floor) == (30, 30)
    assert [one.position for one in ring.after(0)] == [10, 20]
    ring.drop_oldest()
    ring.drop_oldest()
    assert (ring.floor, ring.secret_floor) == (30, 30)
    ring.lose(5)
    assert (ring.floor, ring.secret_floor) == (30, 30)


@pytest.mark.parametrize("secret", [False, True])
def test_newest_is_the_last_push_that_may_be_seen(secret):
    ring = RingBuffer(CHANNEL, 5, 7)
    assert ring.newest(secret) == ring.lost_since(secret) == (7 if secret else 5)
    ring.append(push(10), 10, 1000)
    ring.append(push(20, secret=True), 10, 1000)
    assert ring.newest(secret) == (20 if secret else 10)
    ring.drop_oldest()
    ring.drop_oldest()
    assert ring.newest(secret) == ring.lost_since(secret) == (20 if secret else 10)


@pytest.mark.parametrize("secret", [False, True])
def test_newest_is_never_below_a_loss(secret):
    """Else a listener that joins then is at the head below the floor, and would be told the same loss again."""
    ring = RingBuffer(CHANNEL, 5, 7)
    ring.append(push(10), 10, 1000)
    ring.lose(30)
    assert ring.newest(secret) == 30


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60), st.booleans()), min_size=1, max_size=30),
    st.sampled_from([1, 1, 9]),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(0, 30),
)
@example([(1, 1, True), (1, 2, False), (1, 3, True)], 50, [30, 90], 0)
def test_prepended_ring_is_the_ring_that_was_read_whole(made, times, depths, kept_from):
    """`kept_from`: pushes up to there have been dropped by now where they are kept."""
    everything, position = [], 0
    for step, size, secret in made * times:
        position += step
        everything.append(push(position, size, position % 11, secret=secret))

    def dropped_elsewhere(secret):
        return max([one.position for one in everything[:kept_from] if one.secret is secret], default=0)

    floors = dropped_elsewhere(secret=False), dropped_elsewhere(secret=True)
    middle = len(everything) // 2
    since = everything[middle].position
    ring = RingBuffer(CHANNEL, 0, 0, since)
    for one in everything[middle + 1 :]:
        ring.append(one, 1000, 10**6)
    for depth in depths:
        cursor = max(0, position - depth)
        if cursor >= ring.since:
            continue
        was, before = ring.since, ring.kept_bytes
        older = [one for one in everything[kept_from:] if cursor < one.position <= was]
        assert ring.prepend(older, cursor, *floors) == ring.kept_bytes - before
        assert ring.since == cursor
        for at in range(cursor, position + 2):
            above = [one for one in everything if one.position > at]
            for secret in (False, True):
                seen = [one for one in above if secret or not one.secret]
                if at >= ring.lost_since(secret):
                    assert [one for one in ring.after(at) if secret or not one.secret] == seen
                    assert ring.highest_push_id(at, position, secret) == max([s.push_id for s in seen], default=-1)
                else:
                    assert any(one in everything[:kept_from] for one in seen), "no loss is told where none can be"
            assert ring.bytes_after(at) == sum(len(one.frame) for one in ring.after(at))
        for secret in (False, True):
            seen = [one for one in everything if one.position > cursor and (secret or not one.secret)]
            assert ring.newest(secret) == newest(seen, [ring.lost_since(secret)], cursor)


def test_nothing_is_newer_than_the_beginning_of_an_unread_ring():
    ring = RingBuffer(CHANNEL, 5, 3, since=50)
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (50, 50)
    ring.append(push(60, secret=True), 10, 1000)
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (50, 60)


@given(st.lists(st.tuples(st.none() | st.integers(0, 9), st.booleans()), max_size=12), st.integers(0, 3))
def test_ring_knows_what_it_has_dropped(made, most_pushes):
    ring = RingBuffer(CHANNEL, 0, 0)
    pushes = [Push("chat", push_id, secret, at, b"{}") for at, (push_id, secret) in enumerate(made, 1)]
    for one in pushes:
        ring.append(one, most_pushes, 1000)
    dropped = pushes[: max(0, len(pushes) - most_pushes)]
    known = []
    for secret in (False, True):
        those = [one for one in dropped if one.secret is secret]
        known.append(max([one.push_id for one in those if one.push_id is not None], default=-1))
        known.append(max([one.position for one in those if one.push_id is None], default=0))
    assert ring.dropped == Dropped(*known)


def test_prepended_pushes_do_not_lower_what_was_dropped():
    ring = RingBuffer(CHANNEL, 0, 0, since=50)
    for secret, position in ((False, 60), (True, 70), (False, 80)):
        ring.append(push(position, secret=secret), 1, 1000)
    assert ring.dropped == Dropped(unnumbered=60, secret_unnumbered=70)
    ring.prepend([push(20), push(30, secret=True)], 10, 15, 5)
    assert (ring.began, ring.floor, ring.secret_floor) == (15, 60, 70)
    ring.drop_oldest()
    ring.drop_oldest()
    assert ring.dropped == Dropped(unnumbered=60, secret_unnumbered=70)


def test_latest_come_first_and_none_that_was_dropped():
    ring = RingBuffer(CHANNEL, 0, 0)
    assert list(ring.latest()) == []
    for position in range(1, 100):
        ring.append(push(position), 3, 1000)
        assert [one.position for one in ring.latest()] == list(range(position, max(0, position - 3), -1))
