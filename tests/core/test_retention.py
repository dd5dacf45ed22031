"""The rings of an account against one plain list of everything that is kept, and a list that was kept elsewhere."""

import hypothesis.strategies as st
from hypothesis import example, given, settings

from cometify.core.account import Account
from cometify.core.push import Push
from cometify.core.retention import AccountRings
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
        ring = self.of(one.identifier)
        while len(ring) > account.buffer_pushes or sum(len(other.frame) for other in ring) > account.buffer_bytes:
            self.drop(ring.pop(0))

    def bound(self, oldest, most_bytes):
        while self.kept:
            first = min(self.kept, key=lambda one: one.position)
            if first.position > oldest and sum(len(one.frame) for one in self.kept) <= most_bytes:
                return
            self.drop(first)


sizes = st.integers(1, 60) | st.just(120)
pushes = st.tuples(st.just("push"), st.sampled_from(NAMES), st.integers(1, 3), sizes, st.booleans())
steps = st.one_of(
    pushes,
    pushes,
    st.tuples(st.just("age"), st.integers(0, 20)),
    st.tuples(st.just("bound"), st.integers(0, 200)),
    st.tuples(st.just("follow"), st.sampled_from(NAMES), st.integers(0, 40)),
    st.tuples(st.just("deepen"), st.sampled_from(NAMES), st.integers(0, 40)),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
)


class Both:
    """A shelf and the plain list. What is pushed on a ring that is not followed is kept elsewhere alone, whole."""

    def __init__(self, account):
        self.account = account
        self.account_rings, self.plain = AccountRings(), Plain()
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
        emptied = self.account_rings.drop(oldest, most_bytes)
        self.plain.bound(oldest, most_bytes)
        assert {ring.channel[1] for ring in emptied} >= {name for name in before if not self.plain.of(name)}
        assert not any(emptied)

    def follow(self, name, back):
        """From now on, and from a little before: those are read one by one, as they were pushed."""
        if name not in self.account_rings.rings:
            since = self.position - back
            ring = self.account_rings.rings[name] = RingBuffer(("1", name), BEGAN, BEGAN, since)
            self.plain.floors[name] = [BEGAN, BEGAN]
            for one in self._kept_elsewhere(name, since, self.position):
                self.account_rings.put(ring, one, self.account)
                self.plain.append(one, self.account)

    def deepen(self, name, back):
        ring = self.account_rings.rings.get(name)
        if ring is not None and self.position - back < ring.since:
            since = self.position - back
            older = self._kept_elsewhere(name, since, ring.since)
            self.account_rings.prepend(ring, older, since, (BEGAN, BEGAN))
            self.plain.kept += older
            assert ring.since == since

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
        ("deepen", "a", 2),
        ("deepen", "b", 10),
        ("push", "b", 1, 10, False),
        ("bound", 35),
        ("deepen", "a", 40),
        ("bound", 25),
        ("bound", 0),
        ("push", "a", 1, 9, True),
    ],
    (1000, 10**6),
)
@settings(max_examples=150)
def test_the_oldest_goes_first_whatever_ring_it_is_in_and_however_it_came_there(taken, bounds):
    both = Both(Account("1", ("s",), buffer_pushes=bounds[0], buffer_bytes=bounds[1]))
    for what, *arguments in taken:
        getattr(both, what)(*arguments)
        account_rings, plain = both.account_rings, both.plain
        assert account_rings.kept_bytes == sum(len(one.frame) for one in plain.kept)
        for name, ring in account_rings.rings.items():
            assert list(ring.after(0)) == plain.of(name)
            assert [ring.floor, ring.secret_floor] == plain.floors[name]


def test_what_a_ring_once_had_does_not_grow_the_heap_without_end():
    account = Account("1", ("s",), buffer_pushes=2)
    account_rings = AccountRings()
    for round_ in range(100):
        ring = account_rings.rings["a"] = RingBuffer(("1", "a"), 0, 0)
        for step in range(10):
            account_rings.put(ring, Push("a", None, False, round_ * 10 + step + 1, b"x"), account)
        account_rings.remove(ring)
        account_rings.drop(round_ * 10, 10**6)
    assert len(account_rings._oldest) <= 2


def test_of_several_accounts_each_has_bounds_of_its_own():
    shelves = [AccountRings(), AccountRings()]
    for account_rings in shelves:
        ring = account_rings.rings["a"] = RingBuffer(("1", "a"), 0, 0)
        for position in range(1, 11):
            account_rings.put(ring, Push("a", None, False, position, b"x" * 10), Account("1", ("s",)))
    shelves[0].drop(0, 30)
    assert [account_rings.kept_bytes for account_rings in shelves] == [30, 100]


def test_a_push_that_is_more_than_may_be_kept_leaves_nothing_behind():
    account_rings = AccountRings()
    ring = account_rings.rings["a"] = RingBuffer(("1", "a"), 0, 0)
    account_rings.put(ring, Push("a", None, False, 5, b"x" * 11), Account("1", ("s",), buffer_bytes=10))
    assert (account_rings.kept_bytes, len(ring), ring.floor) == (0, 0, 5)
    assert account_rings.drop(5, 0) == []
