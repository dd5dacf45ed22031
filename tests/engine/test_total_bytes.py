"""`keep_bytes_total`: all accounts of the memory engine together, and which of them drops."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.position import RETENTION, SECOND
from cometify.core.push import Draft
from cometify.engine.memory import MemoryEngine
from cometify.engine.total_bytes import SLACK

MOST = 2**20
"""The bound of each kind: half of `keep_bytes_total`."""
BEGAN = 1_764_000_000 * SECOND
ACCOUNTS = [Account(str(number), ("s",), buffer_pushes=10**6) for number in range(4)]
LARGEST_FRAME = 70_000


class Engine(MemoryEngine):
    def __init__(self):
        self.now = BEGAN
        super().__init__(lambda: self.now, lambda _ring, _push: None, 2 * MOST)

    def push(self, account, size, name="chat", secret=False):
        self.append(account, Draft(Identifier.read(name), "x" * size, secret, None, None))

    def kept(self, account):
        state = self._states.get(account.api_key)
        return 0 if state is None else state.rings.kept_bytes


PUSHES = st.lists(
    st.tuples(
        st.integers(0, len(ACCOUNTS) - 1), st.sampled_from([10, 1000, 60_000]), st.integers(1, 40), st.integers(0, 300)
    ),
    max_size=30,
)


@given(PUSHES)
@settings(max_examples=60)
def test_bound_holds_and_only_the_largest_account_drops(pushes):
    engine = Engine()
    for number, size, times, pause in pushes:
        engine.now += pause * SECOND
        engine.expire()
        for _ in range(times):
            before = [engine.kept(account) for account in ACCOUNTS]
            engine.push(ACCOUNTS[number], size)
            after = [engine.kept(account) for account in ACCOUNTS]
            assert sum(after) == engine.stats().total.bytes <= MOST
            for other, account in enumerate(ACCOUNTS):
                if other != number and after[other] < before[other]:
                    assert before[other] >= max(after) - MOST // SLACK - LARGEST_FRAME, account


def test_one_account_alone_may_keep_all():
    engine = Engine()
    for _ in range(2000):
        engine.push(ACCOUNTS[0], 1000)
    assert MOST - 2000 < engine.kept(ACCOUNTS[0]) <= MOST


def test_each_kind_of_pushes_has_half_of_the_total():
    """Else public pushes would be dropped because of secret ones, and tell of them."""
    engine = Engine()
    for _ in range(2000):
        engine.push(ACCOUNTS[0], 1000)
    rings = engine._states[ACCOUNTS[0].api_key].rings
    before = rings.public.kept_bytes
    for _ in range(2000):
        engine.push(ACCOUNTS[0], 1000, secret=True)
        engine.push(ACCOUNTS[1], 1000, secret=True)
    assert rings.public.kept_bytes == before
    assert MOST - 4000 < sum(state.rings.secret.kept_bytes for state in engine._states.values()) <= MOST


def test_keep_bytes_of_an_account_still_bounds_it_alone():
    engine = Engine()
    small = Account("small", ("s",), keep_bytes=MOST // 2, buffer_pushes=10**6)
    for _ in range(2000):
        engine.push(small, 1000)
    assert MOST // 2 - 2000 < engine.kept(small) <= MOST // 2


def test_large_push_takes_the_place_of_many_small_ones():
    engine = Engine()
    while engine.stats().total.bytes < MOST - 200:
        engine.push(ACCOUNTS[0], 1)
    engine.push(ACCOUNTS[1], 65_536)
    assert engine.stats().total.bytes <= MOST
    assert engine.kept(ACCOUNTS[1]) > 65_536


def test_expired_bytes_are_no_longer_counted():
    engine = Engine()
    for _ in range(1000):
        engine.push(ACCOUNTS[0], 1000)
    engine.now += RETENTION + 1 * SECOND
    while engine.expire():
        pass
    for _ in range(900):
        engine.push(ACCOUNTS[1], 1000)
    assert engine.kept(ACCOUNTS[1]) > 900 * 1000, "nothing had to be dropped"
