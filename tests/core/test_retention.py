"""The rings of an account against one plain list of all that is kept, and a list of what is kept elsewhere."""

import weakref
from math import inf

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings

from cometify.core.account import Account
from cometify.core.kept_pushes import Dropped, KeptPushes
from cometify.core.push import Push
from cometify.core.retention import MOST_STEPS, AccountRings
from cometify.core.ring import RingBuffer

NAMES = ("a", "b")
BEGAN = 100


class Plain:
    """`kept`: all pushes of all rings, in any order. `floors`: by name, public and secret."""

    def __init__(self):
        self.kept = []
        self.floors = {}

    def of(self, name):
        return sorted((one for one in self.kept if one.identifier == name), key=lambda one: one.position)

    def drop(self, one):
        self.kept.remove(one)
        self.floors[one.identifier][one.secret] = max(one.position, self.floors[one.identifier][one.secret])

    def append(self, one, account):
        self.kept.append(one)
        ring = [other for other in self.of(one.identifier) if other.secret is one.secret]
        while len(ring) > account.buffer_pushes or sum(len(other.frame) for other in ring) > account.buffer_bytes:
            self.drop(ring.pop(0))

    def kind(self, secret):
        return [one for one in self.kept if one.secret is secret]

    def bound(self, oldest, most_bytes, secret):
        while kept := self.kind(secret):
            first = min(kept, key=lambda one: one.position)
            if first.position > oldest and sum(len(one.frame) for one in kept) <= most_bytes:
                return
            self.drop(first)


sizes = st.integers(1, 60) | st.just(120)
pushes = st.tuples(st.just("push"), st.sampled_from(NAMES), st.integers(1, 3), sizes, st.booleans())
steps = st.one_of(
    pushes,
    pushes,
    st.tuples(st.just("age"), st.integers(0, 20)),
    st.tuples(st.just("bound"), st.integers(0, 200)),
    st.tuples(st.just("slice"), st.integers(0, 20), st.integers(0, 200), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("follow"), st.sampled_from(NAMES), st.integers(0, 40)),
    st.tuples(st.just("deepen"), st.sampled_from(NAMES), st.integers(0, 40), st.booleans()),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
)


class Both:
    """The rings and the plain list. A push on a ring that is not followed is kept elsewhere alone, whole."""

    def __init__(self, account):
        self.account = account
        self.emptied = []
        self.account_rings, self.plain = AccountRings(self.emptied.append), Plain()
        self.elsewhere = []
        self.position = BEGAN

    def push(self, name, step, size, secret):
        self.position += step
        one = Push(name, None, secret, self.position, b"x" * size)
        self.elsewhere.append(one)
        ring = self.account_rings.rings.get(name)
        if ring is not None:
            self.account_rings.put(ring, one, self.account)
            self.plain.append(one, self.account)

    def age(self, back):
        self._drop(self.position - back, 10**6)

    def bound(self, most_bytes):
        self._drop(0, most_bytes)

    def _drop(self, oldest, most_bytes):
        before = {name for name in self.account_rings.rings if self.plain.of(name)}
        self.emptied.clear()
        self.account_rings.drop(oldest, most_bytes)
        for secret in (False, True):
            assert not self.account_rings.of(secret).is_due(oldest, most_bytes)
            self.plain.bound(oldest, most_bytes, secret)
        assert {ring.channel[1] for ring in self.emptied} >= {name for name in before if not self.plain.of(name)}

    def slice(self, back, most_bytes, most, secret):
        """A part of what is due, in any order as long as it is due; the steps after this one go on from there."""
        oldest = self.position - back
        retention = self.account_rings.of(secret)
        left = {name: list(ring.of(secret).after(0)) for name, ring in self.account_rings.rings.items()}
        retention.excess_of = most_bytes
        steps = retention.expire(oldest, most)
        assert retention.excess_of == (most_bytes if steps == most else inf)
        now = {name: list(ring.of(secret).after(0)) for name, ring in self.account_rings.rings.items()}
        gone = [one for name, pushes in left.items() for one in pushes[: len(pushes) - len(now[name])]]
        assert len(gone) <= steps <= most
        assert steps == most or not retention.is_due(oldest, most_bytes)
        for one in sorted(gone, key=lambda one: (one.position > oldest, one.position)):
            kept = self.plain.kind(secret)
            is_oldest = one is min(kept, key=lambda other: other.position)
            too_much = sum(len(other.frame) for other in kept) > most_bytes
            assert one.position <= oldest or (is_oldest and too_much), "dropped though it was not due"
            self.plain.drop(one)

    def follow(self, name, back):
        """From now on, and from a little before: those are read one by one, as they were pushed."""
        if name not in self.account_rings.rings:
            since = self.position - back
            kinds = [KeptPushes(Dropped(BEGAN), since) for _ in range(2)]
            ring = self.account_rings.add(RingBuffer(("1", name), *kinds))
            self.plain.floors[name] = [BEGAN, BEGAN]
            for one in self._kept_elsewhere(name, since, self.position):
                self.account_rings.put(ring, one, self.account)
                self.plain.append(one, self.account)

    def deepen(self, name, back, secret):
        ring = self.account_rings.rings.get(name)
        if ring is not None and self.position - back < ring.of(secret).since:
            since, kept = self.position - back, ring.of(secret)
            older = [one for one in self._kept_elsewhere(name, since, kept.since) if one.secret is secret]
            self.account_rings.of(secret).prepend(ring, kept, older, since, BEGAN)
            self.plain.kept += older
            assert kept.since == since

    def _kept_elsewhere(self, name, since, until):
        return [one for one in self.elsewhere if one.identifier == name and since < one.position <= until]

    def remove(self, name):
        ring = self.account_rings.rings.get(name)
        if ring is not None:
            self.account_rings.remove(ring)
            self.plain.kept = [one for one in self.plain.kept if one.identifier != name]


@given(
    st.lists(steps, min_size=20, max_size=40),
    st.sampled_from([(1000, 10**6), (3, 10**6), (1000, 100)]),
)
@example(
    [
        ("push", "a", 1, 10, False),
        ("push", "b", 1, 10, True),
        ("push", "a", 1, 10, False),
        ("follow", "a", 0),
        ("follow", "b", 0),
        ("push", "a", 1, 10, True),
        ("deepen", "a", 2, False),
        ("deepen", "b", 10, True),
        ("push", "b", 1, 10, False),
        ("bound", 35),
        ("deepen", "a", 40, False),
        ("deepen", "a", 40, True),
        ("bound", 25),
        ("bound", 0),
        ("push", "a", 1, 9, True),
    ],
    (1000, 10**6),
)
@settings(max_examples=150)
def test_oldest_goes_first_whatever_ring_has_it(taken, bounds):
    both = Both(Account("1", ("s",), buffer_pushes=bounds[0], buffer_bytes=bounds[1]))
    for what, *arguments in taken:
        getattr(both, what)(*arguments)
        account_rings, plain = both.account_rings, both.plain
        assert account_rings.kept_bytes == sum(len(one.frame) for one in plain.kept)
        assert account_rings.count() == len(plain.kept)
        for name, ring in account_rings.rings.items():
            assert list(ring.after(0)) == plain.of(name)
            assert [ring.public.floor, ring.secret.floor] == plain.floors[name]


def rings_of(count, each):
    """Rings whose pushes have one byte each and come by turns."""
    account, account_rings = Account("1", ("s",), buffer_pushes=10**6), AccountRings()
    for number in range(count):
        account_rings.add(RingBuffer.beginning_at(("1", f"a{number}"), 0))
    for position in range(1, count * each + 1):
        ring = account_rings.rings[f"a{position % count}"]
        account_rings.put(ring, Push(ring.channel[1], None, False, position, b"x"), account)
    return account_rings


@pytest.mark.parametrize(("oldest", "most_bytes"), [(3000, 10**6), (0, 0)], ids=["old", "too much"])
@pytest.mark.parametrize("count", [1, 30, 1500])
def test_burst_is_dropped_in_bounded_steps(count, oldest, most_bytes):
    account_rings = rings_of(count, 3000 // count)
    for call in range(3000 // MOST_STEPS):
        assert account_rings.public.is_due(oldest, most_bytes)
        assert account_rings.public.drop(oldest, most_bytes) == MOST_STEPS
        assert account_rings.kept_bytes == 3000 - (call + 1) * MOST_STEPS
    assert not account_rings.public.is_due(oldest, most_bytes)
    assert account_rings.public.drop(oldest, most_bytes) == 0


def test_rings_that_were_removed_are_bounded_steps_too():
    account_rings = rings_of(3000, 1)
    for ring in list(account_rings.rings.values()):
        account_rings.remove(ring)
    assert account_rings.kept_bytes == 0
    public = account_rings.public
    assert [public.drop(3000, 10**6, 2000), public.drop(3000, 10**6, 2000)] == [2000, 1000]


def test_removed_rings_do_not_grow_the_heap_without_end():
    account = Account("1", ("s",), buffer_pushes=2)
    account_rings = AccountRings()
    for round_ in range(100):
        ring = account_rings.add(RingBuffer.beginning_at(("1", "a"), 0))
        for step in range(10):
            account_rings.put(ring, Push("a", None, False, round_ * 10 + step + 1, b"x"), account)
        account_rings.remove(ring)
        account_rings.drop(round_ * 10, 10**6)
    assert len(account_rings.public._oldest) <= 2


def test_each_account_has_bounds_of_its_own():
    accounts = [AccountRings(), AccountRings()]
    for account_rings in accounts:
        ring = account_rings.add(RingBuffer.beginning_at(("1", "a"), 0))
        for position in range(1, 11):
            account_rings.put(ring, Push("a", None, False, position, b"x" * 10), Account("1", ("s",)))
    accounts[0].drop(0, 30)
    assert [account_rings.kept_bytes for account_rings in accounts] == [30, 100]


def test_push_larger_than_the_bound_leaves_nothing_behind():
    account_rings = AccountRings()
    ring = account_rings.add(RingBuffer.beginning_at(("1", "a"), 0))
    account_rings.put(ring, Push("a", None, False, 5, b"x" * 11), Account("1", ("s",), buffer_bytes=10))
    assert (account_rings.kept_bytes, len(ring), ring.public.floor) == (0, 0, 5)
    assert account_rings.public.drop(5, 0) == 0


def test_kind_of_pushes_drops_none_of_the_other():
    """Else the listeners who may not see one kind would notice how much of it there is."""
    account, account_rings = Account("1", ("s",)), AccountRings()
    ring = account_rings.add(RingBuffer.beginning_at(("1", "a"), 0))
    for position in range(1, 21):
        secret = position % 2 == 0
        retention = account_rings.put(ring, Push("a", None, secret, position, b"x" * 10), account)
        assert retention is account_rings.of(secret)
    account_rings.secret.drop(0, 30)
    assert (account_rings.public.kept_bytes, account_rings.secret.kept_bytes) == (100, 30)
    assert (ring.public.floor, ring.secret.floor) == (0, 14)
    account_rings.public.drop(5, 50)
    assert (account_rings.public.kept_bytes, account_rings.secret.kept_bytes) == (50, 30)
    assert (ring.public.floor, ring.secret.floor) == (9, 14)


@pytest.mark.parametrize("secret", [False, True])
def test_pushes_of_a_removed_ring_are_freed(secret):
    account, account_rings = Account("1", ("s",)), AccountRings()
    ring = account_rings.add(RingBuffer.beginning_at(("1", "a"), 0))
    push = Push("a", None, secret, 5, b"x")
    account_rings.put(ring, push, account)
    freed = weakref.ref(push)
    account_rings.remove(ring)
    del push
    assert freed() is None
    # The entry in the heap is passed over once it is due.
    account_rings.drop(5, 10**6)
    assert not account_rings.of(secret).is_due(5, 10**6)
