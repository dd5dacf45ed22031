"""A ring against a plain list of both kinds of pushes, and against a ring that no secret push has ever come to."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cometify.core.account import Account
from cometify.core.kept_pushes import Dropped, KeptPushes, NothingKept
from cometify.core.push import Push
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer

CHANNEL = ("37282591", "chat")
BEGAN = 5

made = st.lists(
    st.tuples(st.booleans(), st.integers(1, 40), st.none() | st.integers(0, 9)),
    max_size=30,
).map(
    lambda those: [
        Push("chat", push_id, secret, BEGAN + at, b"x" * size) for at, (secret, size, push_id) in enumerate(those, 1)
    ]
)
bounds = st.sampled_from([(1000, 10**6), (3, 10**6), (1000, 90), (1, 1)])


def ring_of(pushes, most_pushes=1000, most_bytes=10**6):
    ring = RingBuffer.beginning_at(CHANNEL, BEGAN)
    for push in pushes:
        ring.of(push.secret).append(push, most_pushes, most_bytes)
    return ring


def last(pushes, most_pushes, most_bytes):
    """The pushes of one kind that are kept, and the position of the last one that is not."""
    kept, floor = list(pushes), BEGAN
    while len(kept) > most_pushes or sum(len(push.frame) for push in kept) > most_bytes:
        floor = kept.pop(0).position
    return kept, floor


@given(made, bounds)
def test_each_kind_has_limits_and_a_floor_of_its_own(pushes, bounds):
    ring = ring_of(pushes, *bounds)
    public, floor = last([push for push in pushes if not push.secret], *bounds)
    secret, secret_floor = last([push for push in pushes if push.secret], *bounds)
    both = sorted(public + secret, key=lambda push: push.position)
    assert (ring.public.floor, ring.secret.floor) == (floor, secret_floor)
    assert (ring.lost_since(secret=False), ring.lost_since(secret=True)) == (floor, max(floor, secret_floor))
    assert list(ring.latest()) == both[::-1]
    assert (len(ring), ring.kept_bytes) == (len(both), sum(len(push.frame) for push in both))
    for cursor in range(BEGAN, BEGAN + len(pushes) + 2):
        assert list(ring.after(cursor)) == [push for push in both if push.position > cursor]
        for kinds, seen in ((False, public), (True, both)):
            assert ring.bytes_after(cursor, kinds) == sum(len(one.frame) for one in seen if one.position > cursor)
            assert ring.count_after(cursor, kinds) == sum(one.position > cursor for one in seen)
            push_ids = [one.push_id for one in seen if one.push_id is not None and cursor < one.position]
            assert ring.highest_push_id(cursor, 10**6, kinds) == max(push_ids, default=-1)


@given(made, bounds)
def test_secret_pushes_change_nothing_for_who_may_not_see_them(pushes, bounds):
    ring, without = ring_of(pushes, *bounds), ring_of([push for push in pushes if not push.secret], *bounds)
    assert ring.visible(secret=False) == (ring.public,)
    for name in KeptPushes.__slots__:
        assert getattr(ring.public, name) == getattr(without.public, name)
    assert ring.newest(secret=False) == without.newest(secret=False)


@pytest.mark.parametrize("secret", [False, True])
def test_newest_is_the_last_push_that_may_be_seen(secret):
    ring = RingBuffer(CHANNEL, KeptPushes(Dropped(5)), KeptPushes(Dropped(7)))
    assert ring.newest(secret) == ring.lost_since(secret) == (7 if secret else 5)
    for position, is_secret in ((10, False), (20, True)):
        ring.of(is_secret).append(Push("chat", None, is_secret, position, b"x"), 10, 1000)
    assert ring.newest(secret) == (20 if secret else 10)
    ring.public.drop_oldest()
    ring.secret.drop_oldest()
    assert ring.newest(secret) == ring.lost_since(secret) == (20 if secret else 10)


@pytest.mark.parametrize("secret", [False, True])
def test_newest_is_never_below_a_loss(secret):
    """Else a listener that joins then is at the head below the floor, and would be told the same loss again."""
    ring = ring_of([Push("chat", None, False, 10, b"x")])
    ring.lose(30)
    assert ring.newest(secret) == ring.lost_since(secret) == 30


def test_nothing_is_newer_than_the_beginning_of_an_unread_ring():
    ring = RingBuffer(CHANNEL, KeptPushes(Dropped(5), since=40), KeptPushes(Dropped(3), since=50))
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (40, 50)
    ring.secret.append(Push("chat", None, True, 60, b"x"), 10, 1000)
    assert (ring.newest(secret=False), ring.newest(secret=True)) == (40, 60)


@pytest.mark.parametrize("secret", [False, True])
def test_channel_owns_its_kept_pushes_before_they_change(secret):
    nothing = NothingKept(Dropped(5), since=3, began=4)
    ring, other = (RingBuffer((CHANNEL[0], name), nothing, nothing) for name in ("a", "b"))
    own = ring.own(secret)
    assert ring.own(secret) is own is ring.of(secret)
    assert (own.floor, own.since, own.began) == (5, 3, 4)
    own.append(Push("a", 7, secret, 9, b"x" * 70), 10, 1000)
    assert len(ring) == 1
    assert ring.of(not secret) is other.public is other.secret is nothing
    assert len(other) == 0
    assert not other.public.has_above(0)


def test_channels_without_pushes_share_what_they_do_not_have():
    account, account_rings = Account("1", ("s",)), AccountRings()
    nothing = NothingKept(Dropped(0))
    rings = [RingBuffer(("1", name), nothing, nothing) for name in "abc"]
    for ring in rings:
        account_rings.add(ring)
    account_rings.put(rings[0], Push("a", None, True, 9, b"x" * 70), account)
    account_rings.put(rings[1], Push("b", None, False, 10, b"x" * 70), account)
    assert [(len(ring.public), len(ring.secret)) for ring in rings] == [(0, 1), (1, 0), (0, 0)]
    for ring in (rings[2], rings[0]):
        account_rings.remove(ring)
    account_rings.drop(10, 1000)
    assert account_rings.kept_bytes == 0
    assert nothing.queued < 0


def test_two_channels_can_have_a_push_at_the_same_position():
    account, account_rings = Account("1", ("s",)), AccountRings()
    for name in "ba":
        ring = account_rings.add(RingBuffer.beginning_at(("1", name), 0))
        account_rings.put(ring, Push(name, None, False, 9, b"x" * 70), account)
    account_rings.drop(8, 1000)
    assert account_rings.kept_bytes == 140
    account_rings.drop(9, 1000)
    assert account_rings.kept_bytes == 0
