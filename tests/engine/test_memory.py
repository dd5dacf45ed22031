"""The memory engine under bursts and in quiet: bounded steps, exact replay while expiry lags, memory that is given back."""

import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.floors import MOST_FLOORS
from cometify.core.identifier import Identifier
from cometify.core.kept_pushes import DROPS
from cometify.core.position import FLOOR_RETENTION, RETENTION, SECOND
from cometify.core.push import Draft
from cometify.core.ttl_map import TTL
from cometify.engine import UNFOLLOW_DELAY
from cometify.engine.memory import EXPIRE_STEPS, MemoryEngine
from tests.calls import counted_c_calls
from tests.memory import World

LIMITS = Path(__file__).parents[2] / "docs" / "limits.md"
BEGAN = 1_764_000_000 * SECOND
ACCOUNT = Account("1", ("s",), buffer_pushes=10**6)


class Engine(MemoryEngine):
    """An engine and the clock that it reads."""

    def __init__(self):
        self.now = BEGAN
        self.announced = []
        super().__init__(lambda: self.now, lambda ring, push: self.announced.append(push.position))

    def push(self, name="chat", account=ACCOUNT, push_id=None, **more):
        return self.append(account, Draft(Identifier.read(name), "x", False, push_id, None, **more))

    def join(self, *names, since=0, account=ACCOUNT):
        return self.follow(account, lambda _now: dict.fromkeys(names, since))

    def expire_all(self):
        """The number of slices that it takes, at most 1000."""
        return next(slices for slices in range(1, 1000) if not self.expire())

    @property
    def pushes(self):
        return self.stats().total.pushes


def burst(count, names=40):
    engine = Engine()
    for number in range(count):
        engine.push(f"name{number % names}")
    engine.now += RETENTION + 1 * SECOND
    return engine


# What a push takes


@pytest.mark.parametrize(("row", "each"), [("beside others on its identifier", 100), ("alone on its identifier", 1)])
def test_kept_push_takes_what_the_docs_say(row, each):
    told = int(re.search(rf"\| {row} \| (\d+) bytes", LIMITS.read_text())[1])
    engine, count = Engine(), 5000
    engine.push("first")
    tracemalloc.start()
    try:
        for number in range(count):
            engine.push(f"name{number // each}", push_id=number)
        engine.announced.clear()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    beside_the_frames = (taken - engine.stats().total.bytes) / count
    assert told / 2 < beside_the_frames < told * 1.2  # versions of Python differ


# Bursts


@pytest.mark.parametrize("names", [1, 40, 4000])
def test_burst_expires_in_bounded_slices(names):
    engine = burst(4000, names)
    sizes = [4000]
    while engine.expire() and len(sizes) < 100:
        sizes.append(engine.pushes)
        assert sizes[-2] - sizes[-1] <= EXPIRE_STEPS
    assert engine.pushes == 0
    assert len(sizes) >= 4000 // EXPIRE_STEPS
    assert engine.stats().total.bytes == 0


def test_push_and_join_pay_for_a_bounded_part_of_a_burst():
    engine = burst(4000)
    engine.push("other")
    assert engine.pushes == 4000 + 1 - DROPS - 1
    engine.join("other")
    assert engine.pushes == 4000 + 1 - DROPS - 1 - DROPS


def test_pushes_alone_make_the_backlog_shrink():
    engine = burst(1000)
    for _ in range(12):
        engine.push("other")
    assert engine.pushes == 12


def test_lowered_limit_of_an_account_is_reached_in_slices():
    engine = Engine()
    for _ in range(4000):
        engine.push()
    size = engine.stats().total.bytes
    engine.push(account=Account("1", ("s",), buffer_pushes=10**6, keep_bytes=size // 4))
    assert engine.stats().total.bytes > size // 2
    assert engine.expire_all() > 2
    assert size // 5 < engine.stats().total.bytes <= size // 4


def test_raised_limit_of_an_account_counts_at_once():
    engine = Engine()
    for keep_bytes in (1000, 10**6):
        for _ in range(100):
            engine.push(account=Account("1", ("s",), buffer_pushes=10**6, keep_bytes=keep_bytes))
        engine.expire_all()
    assert engine.pushes > 100


def test_signatures_nonces_and_answers_expire_in_bounded_slices():
    engine = Engine()
    for number in range(1000):
        draft = Draft(Identifier.read("chat"), "x", False, None, b"%d" % number, f"{number}", nonce=f"{number}")
        engine.append(ACCOUNT, draft)
    engine.now += TTL + SECOND
    assert engine.expire_all() >= 4000 // EXPIRE_STEPS
    state = engine._states["1"]
    assert [len(kept) for kept in (state.signatures, state.requests, state.rings.rings)] == [0, 0, 0]


def test_channels_without_listeners_are_left_in_bounded_slices():
    engine = Engine()
    names = [f"name{number}" for number in range(3 * EXPIRE_STEPS)]
    engine.join(*names)
    for name in names:
        engine.unfollow(("1", name))
    engine.now += UNFOLLOW_DELAY * SECOND
    followed = [engine.stats().followed for _ in range(4) if engine.expire() or True]
    assert followed == [2 * EXPIRE_STEPS, EXPIRE_STEPS, 0, 0]
    assert engine._states == {}


def test_counting_takes_no_longer_for_channels_without_pushes():
    engine = Engine()
    engine.join(*[f"name{number}" for number in range(5_000)])
    for number in range(10):
        engine.push(f"name{number}")
    with counted_c_calls() as calls:
        stats = engine.stats()
    assert (stats.total.pushes, stats.followed) == (10, 5_000)
    assert calls.total() < 100


def test_slices_visit_every_account():
    engine = Engine()
    for number in range(3 * EXPIRE_STEPS):
        engine.push(account=Account(f"{number}", ("s",)))
    engine.now += RETENTION + SECOND
    assert engine.expire_all() >= 6
    assert engine.pushes == 0


def test_server_goes_on_with_one_slice_in_each_turn():
    world, between = World(), []
    account = world.server.accounts.get("37282591")
    for number in range(6 * EXPIRE_STEPS):
        world.server.engine.append(account, Draft(Identifier.read(f"name{number % 9}"), "x", False, None, None))
    world.reactor.advance(590)
    kept = world.server.engine.stats().total.pushes
    assert kept == 6 * EXPIRE_STEPS
    world.skew += 60 * SECOND
    # A probe right behind each call that is due: the second slice must come after it, because it is a call of its own.
    for call in list(world.reactor.getDelayedCalls()):
        delay = call.getTime() - world.reactor.seconds()
        world.reactor.callLater(delay, lambda: between.append(world.server.engine.stats().total.pushes))
    world.reactor.advance(5)
    assert 5 * EXPIRE_STEPS <= min(kept for kept in between if kept) < 6 * EXPIRE_STEPS
    assert world.server.engine.stats().total.pushes == 0


# Correct while expiry lags


def lagging(world, count=1000, account=None):
    """Push `count` with the push_ids from 1 on, and let them all be due while nothing has expired yet."""
    account = account or world.server.accounts.get("37282591")
    for number in range(1, count + 1):
        world.server.engine.append(account, Draft(Identifier.read("chat"), "old", False, number, None))
    world.skew += RETENTION + SECOND
    return account


def frames(peer):
    return [(frame["type"], frame.get("text")) for frame in peer.frames()]


def test_joiner_is_replayed_no_push_that_is_due():
    world = World()
    account = lagging(world)
    world.server.engine.append(account, Draft(Identifier.read("chat"), "new", False, 1001, None))
    peer = world.websocket("identifiers=chat:0")
    assert len(world.server.engine.peek(("37282591", "chat"))) > 100, "expiry does not lag"
    assert frames(peer) == [("ready", None), ("push", "new"), ("heartbeat", None)]


@pytest.mark.parametrize("internal_id", [0, 1, 500, 1000])
def test_no_gap_is_told_for_pushes_that_are_due(internal_id):
    world = World()
    lagging(world)
    peer = world.websocket(f"identifiers=chat:{internal_id}")
    assert len(world.server.engine.peek(("37282591", "chat"))) > 100, "expiry does not lag"
    assert frames(peer) == [("ready", None), ("heartbeat", None)]


def test_resumed_listener_misses_none_without_a_gap():
    """It asked for more than ten minutes: it gets what is still kept, and a gap for what is not."""
    world = World()
    before = world.clock()
    lagging(world, count=900)
    peer = world.websocket(f"identifiers=chat&position={before}")
    kept = 900 - DROPS
    assert frames(peer) == [("ready", None), ("gap", None), *[("push", "old")] * kept, ("heartbeat", None)]


def test_resumed_listener_gets_all_that_is_kept_without_a_gap():
    world = World()
    lagging(world, count=900)
    newest = world.server.engine.peek(("37282591", "chat")).newest(secret=False)
    peer = world.websocket(f"identifiers=chat&position={newest - 1}")
    assert frames(peer)[:2] == [("ready", None), ("push", "old")]


# Memory and order of quiet accounts


def test_quiet_account_gives_its_memory_back():
    tracemalloc.start()
    try:
        engine = burst(10)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(10_000):
            nonce, key = f"nonce-{number:012d}", f"key-{number}"
            draft = Draft(Identifier.read("chat"), "x", False, None, number.to_bytes(16), key, nonce=nonce)
            engine.append(ACCOUNT, draft)
        grown = tracemalloc.get_traced_memory()[0] - before
        engine.announced.clear()
        engine.now += FLOOR_RETENTION + RETENTION + SECOND
        engine.expire_all()
        assert tracemalloc.get_traced_memory()[0] - before < grown // 10
    finally:
        tracemalloc.stop()
    assert engine._states == {}


def test_floors_are_remembered_for_a_day_and_then_forgotten():
    engine = Engine()
    engine.now += 1
    floor = engine.push().position
    engine.now += RETENTION
    engine.expire_all()
    assert engine.peek(("1", "chat")) is None
    engine.now = floor + FLOOR_RETENTION - 1
    engine.expire_all()
    assert "1" in engine._states
    engine.now += 1
    engine.expire_all()
    assert engine._states == {}
    assert engine.join("chat")["chat"].public.floor == BEGAN


def test_ring_goes_on_from_remembered_floors():
    engine = Engine()
    engine.now += 1
    floor = engine.push(push_id=7).position
    engine.now += RETENTION
    engine.expire_all()
    ring = engine.join("chat")["chat"]
    assert (ring.public.floor, ring.secret.floor, ring.public.dropped_push_id) == (floor, BEGAN, 7)


def test_push_larger_than_its_ring_leaves_only_a_floor():
    engine = Engine()
    engine.now += 1
    small = Account("1", ("s",), buffer_bytes=10)
    position = engine.push(account=small).position
    assert engine.peek(("1", "chat")) is None
    assert engine.join("chat", account=small)["chat"].public.floor == position
    assert engine.announced == [position]


def test_followed_ring_stays_when_it_is_empty():
    engine = Engine()
    ring = engine.join("chat")["chat"]
    engine.push()
    engine.now += FLOOR_RETENTION
    engine.expire_all()
    assert engine.peek(("1", "chat")) is ring
    engine.unfollow(("1", "chat"))
    engine.now += UNFOLLOW_DELAY * SECOND - 1
    engine.expire_all()
    assert engine.peek(("1", "chat")) is not None
    engine.now += 1
    engine.expire_all()
    assert engine.peek(("1", "chat")) is None


def test_listener_that_comes_back_keeps_its_channel_followed():
    engine = Engine()
    engine.join("chat", "metrics")
    for name in ("chat", "metrics"):
        engine.unfollow(("1", name))
    engine.join("chat")
    engine.now += UNFOLLOW_DELAY * SECOND
    engine.expire_all()
    assert engine.peek(("1", "chat")) is not None
    assert engine.peek(("1", "metrics")) is None


def test_second_leaving_of_a_channel_counts():
    engine = Engine()
    engine.join("chat", "metrics")
    engine.unfollow(("1", "chat"))
    engine.unfollow(("1", "metrics"))
    engine.now += UNFOLLOW_DELAY * SECOND // 2
    engine.unfollow(("1", "chat"))
    engine.now += UNFOLLOW_DELAY * SECOND // 2
    engine.expire_all()
    assert engine.peek(("1", "chat")) is not None
    assert engine.peek(("1", "metrics")) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "push", "watermark", "expire"]), st.sampled_from(["1", "2"]), st.integers(0, 3)
        ),
        max_size=40,
    ),
    st.sampled_from([0, 1, RETENTION, FLOOR_RETENTION + SECOND]),
)
def test_positions_grow_though_accounts_are_forgotten(steps, passing):
    engine, told = Engine(), {"1": BEGAN, "2": BEGAN}
    engine.now += 5
    for what, api_key, times in steps:
        account = Account(api_key, ("s",))
        if what == "push":
            for _ in range(times):
                position = engine.push(account=account).position
                assert position > told[api_key]
                told[api_key] = position
        elif what == "watermark":
            position = engine.watermark(api_key)
            assert position >= told[api_key]
            told[api_key] = position
        else:
            engine.now += passing
            engine.expire_all()
            assert passing < FLOOR_RETENTION or engine._states == {}


def test_forgotten_account_gives_no_position_twice():
    """The clock may stand still between a watermark that was told and the next push."""
    engine = Engine()
    engine.now += 5
    told = engine.watermark("1")
    engine.expire_all()
    assert engine._states == {}
    assert engine.push().position == told + 1


def test_answer_is_given_again_within_ten_minutes_only():
    engine = Engine()
    first = engine.push(key="key", listeners=3)
    engine.now += TTL - 1
    again = engine.push(key="key")
    assert (again.position, again.duplicate, again.listeners) == (first.position, True, 3)
    engine.now = first.position + TTL
    assert engine.push(key="key").position > first.position
    assert json.dumps(engine.announced) == json.dumps([first.position, engine.now])


# The limit of pushes a second


def test_quiet_limited_account_is_forgotten_when_its_bucket_is_empty():
    """Not before: whoever is forgotten could push a whole burst again."""
    slow = Account("1", ("s",), pushes_per_second=1, push_burst=100_000)
    engine = Engine()
    for _ in range(100_000):
        engine.push(account=slow)
    engine.now += FLOOR_RETENTION + 1 * SECOND
    engine.expire_all()
    assert len(engine._states) == 1
    with pytest.raises(Refused):
        engine.push(account=slow, cost=FLOOR_RETENTION // SECOND + 2)
    engine.now += 100_000 * SECOND
    engine.expire_all()
    assert not engine._states


def test_channels_beyond_the_bound_share_the_highest_floor():
    """Pushes to 100,001 identifiers leave 100,000 floors and one for all others, which hides no loss."""
    engine = Engine()
    small = Account("1", ("s",), buffer_bytes=10)
    position = 0
    for number in range(MOST_FLOORS + 1):
        engine.now += 1
        position = engine.push(f"i{number}", account=small).position
    first = position - MOST_FLOORS
    for identifier, floor in (("i0", first), ("never", first), ("i1", first + 1), (f"i{MOST_FLOORS}", position)):
        assert engine.join(identifier, account=small)[identifier].public.floor == floor
        assert engine.peek(("1", identifier)).secret.floor == BEGAN
