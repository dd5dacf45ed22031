"""The ring against a plain list, from which the oldest is simply taken."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.push import Push
from cometify.core.ring import Dropped, RingBuffer

CHANNEL = ("37282591", "chat")


def push(position, size=10, *, secret=False):
    return Push("chat", None, secret, position, b"x" * size)


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


appends = st.tuples(st.integers(1, 3), st.integers(1, 60), st.booleans())


@given(
    st.lists(st.tuples(appends, st.sampled_from([1, 1, 2, 70])), max_size=12),
    st.sampled_from([1, 3, 66, 100]),
    st.sampled_from([50, 1000, 10**6]),
    st.lists(st.integers(0, 12), max_size=12),
)
@settings(max_examples=50)
def test_the_ring_is_a_list_that_loses_its_oldest(steps, most_pushes, most_bytes, drops):
    ring, plain = RingBuffer(CHANNEL, 5, 3), Plain()
    position = 10
    for number, ((step, size, secret), times) in enumerate(steps):
        for _ in range(times):
            position += step
            one = push(position, size, secret=secret)
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
        around = {one.position + beside for one in plain.pushes[:3] + plain.pushes[-3:] for beside in (-1, 0, 1)}
        for cursor in {0, position, position + 1, *around}:
            above = [one for one in plain.pushes if one.position > cursor]
            assert list(ring.after(cursor)) == above
            assert list(ring.until(cursor)) == [one for one in plain.pushes if one.position <= cursor]
            assert ring.bytes_after(cursor) == sum(len(one.frame) for one in above)


def test_a_dropped_secret_push_raises_only_the_floor_of_those_who_may_see_it():
    ring = RingBuffer(CHANNEL, 0, 0)
    ring.append(push(10, secret=True), 1, 1000)
    ring.append(push(20), 1, 1000)
    assert ring.lost_since(secret=False) == 0
    assert ring.lost_since(secret=True) == 10


def test_a_push_longer_than_all_that_may_be_kept_is_dropped_at_once_and_known_to_be_lost():
    ring = RingBuffer(CHANNEL, 0, 0)
    ring.append(push(10), 10, 50)
    assert ring.append(push(20, 51), 10, 50) == -10
    assert (len(ring), ring.kept_bytes, ring.oldest, ring.floor) == (0, 0, None, 20)


def test_what_is_dropped_does_not_stay_in_memory():
    ring = RingBuffer(CHANNEL, 0, 0)
    for position in range(1, 10_001):
        ring.append(push(position), 10, 10**6)
    assert len(ring) == 10
    assert [one.position for one in ring.after(0)] == list(range(9_991, 10_001))


def test_what_was_lost_stays_lost_when_older_pushes_are_dropped():
    """What is kept from before a loss goes on being kept, but tells nothing of how far the loss reaches."""
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
def test_the_newest_is_the_last_push_that_may_be_seen(secret):
    ring = RingBuffer(CHANNEL, 5, 7)
    assert ring.newest(secret) == ring.lost_since(secret) == (7 if secret else 5)
    ring.append(push(10), 10, 1000)
    ring.append(push(20, secret=True), 10, 1000)
    assert ring.newest(secret) == (20 if secret else 10)
    ring.drop_oldest()
    ring.drop_oldest()
    assert ring.newest(secret) == ring.lost_since(secret) == (20 if secret else 10)


@pytest.mark.parametrize("secret", [False, True])
def test_nothing_is_new_that_is_not_above_what_is_lost(secret):
    """Else who joins then is at the head below the floor, and would be told the same loss again."""
    ring = RingBuffer(CHANNEL, 5, 7)
    ring.append(push(10), 10, 1000)
    ring.lose(30)
    assert ring.newest(secret) == 30


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 60), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(0, 30),
)
def test_a_ring_that_is_prepended_to_is_the_ring_that_was_read_whole(made, depths, kept_from):
    """`kept_from`: where it is kept, what is up to there has been dropped by now."""
    everything, position = [], 0
    for step, size, secret in made:
        position += step
        everything.append(push(position, size, secret=secret))

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
                else:
                    assert any(one in everything[:kept_from] for one in seen), "no loss is told where none can be"


def test_nothing_is_newer_than_where_a_ring_begins_of_which_nobody_has_read_what_is_older():
    ring = RingBuffer(CHANNEL, 5, 3, since=50)
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (50, 50)
    ring.append(push(60, secret=True), 10, 1000)
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (50, 60)


@given(st.lists(st.tuples(st.none() | st.integers(0, 9), st.booleans()), max_size=12), st.integers(0, 3))
def test_it_knows_what_it_has_dropped(made, most_pushes):
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


def test_older_pushes_that_are_put_before_do_not_lower_what_was_dropped():
    ring = RingBuffer(CHANNEL, 0, 0, since=50)
    for secret, position in ((False, 60), (True, 70), (False, 80)):
        ring.append(push(position, secret=secret), 1, 1000)
    assert ring.dropped == Dropped(plain=60, secret_plain=70)
    ring.prepend([push(20), push(30, secret=True)], 10, 15, 5)
    assert (ring.began, ring.floor, ring.secret_floor) == (15, 60, 70)
    ring.drop_oldest()
    ring.drop_oldest()
    assert ring.dropped == Dropped(plain=60, secret_plain=70)


def test_the_latest_come_first_and_none_that_was_dropped():
    ring = RingBuffer(CHANNEL, 0, 0)
    assert list(ring.latest()) == []
    for position in range(1, 100):
        ring.append(push(position), 3, 1000)
        assert [one.position for one in ring.latest()] == list(range(position, max(0, position - 3), -1))
