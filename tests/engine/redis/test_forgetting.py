"""Accounts and channels that nobody uses any longer cost a node nothing, and no promise is lost with them."""

import gc
import weakref

from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.position import RETENTION, SECOND
from cometify.core.push import Draft
from cometify.core.retention import MOST_STEPS
from cometify.engine import UNFOLLOW_DELAY
from cometify.engine.redis.forgetting import FORGET_AFTER, SLICE
from tests.contract.support import API_KEY, API_SECRET, gaps, kinds, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World


def state_of(world: World, api_key: str = API_KEY) -> "weakref.ref[object]":
    """The state of an account, which the engine alone keeps alive."""
    return weakref.ref(world.server.engine._states[api_key])


def pass_a_day(nodes: Nodes) -> None:
    """Let more time pass than a quiet account is remembered. The nodes lose Redis meanwhile and find it again."""
    nodes.advance(UNFOLLOW_DELAY + 15)
    for world in nodes:
        world.reactor.advance(FORGET_AFTER + 1)
    nodes.find()
    nodes.advance(6)  # for the periodic task to come by
    gc.collect()


def test_quiet_account_is_forgotten_after_a_day(nodes):
    first, _second = nodes
    joined(first.stream("identifiers=chat")).lose()
    first.pushed("chat", "x")
    nodes.advance(UNFOLLOW_DELAY + 15)  # the channel is left, and the account is seen to be quiet
    states = [state_of(world) for world in nodes if world.server.engine._states]
    assert states
    for world in nodes:
        world.reactor.advance(FORGET_AFTER - 30)
    nodes.find()
    assert all(state() is not None for state in states)
    nodes.advance(40)
    gc.collect()
    assert all(state() is None for state in states)


def test_account_in_use_is_not_forgotten(nodes):
    first, second = nodes
    wire = joined(first.websocket("identifiers=chat"))
    second.pushed("chat", "one")
    nodes.settle()
    assert texts(wire.frames()) == ["one"]
    followed = state_of(first)
    pass_a_day(nodes)
    assert followed() is not None
    second.pushed("chat", "two")
    nodes.settle()
    assert texts(wire.frames()) == ["two"]


def test_emptied_redis_is_a_gap_for_a_forgotten_account(nodes):
    first, second = nodes
    first.pushed("chat", "one")
    position = first.poll("identifiers=chat:0").frames()[-1]["position"]
    pass_a_day(nodes)
    assert API_KEY not in first.server.engine._states
    nodes.command("FLUSHALL")
    for world in nodes:
        assert gaps(world.poll(f"identifiers=chat&position={position}").frames()) == [["chat"]]
        assert gaps(world.poll(f"identifiers=chat&position={world.clock() - 60_000_000}").frames()) == [["chat"]]
    later = second.pushed("chat", "two")
    assert later > position
    assert texts(first.poll(f"identifiers=chat&position={later - 1}").frames()) == ["two"]


def test_emptied_redis_with_a_late_clock_is_a_gap_after_a_day(nodes):
    """The positions go back here, which a cursor above the head is told."""
    first, _second = nodes
    first.pushed("chat", "one")
    pass_a_day(nodes)
    cursor = first.clock()
    nodes.command("FLUSHALL")
    for world in nodes:
        world.skew = -2 * 86_400_000_000
    nodes.settle()  # which sets the clock of Redis
    assert first.pushed("chat", "two") < cursor
    frames = first.stream(f"identifiers=chat&position={cursor}").frames()
    assert gaps(frames) == [["chat"]]
    first.pushed("chat", "three")


def test_forgetting_looks_at_some_accounts_in_each_call(nodes):
    accounts = [Account(f"account{number}", (API_SECRET,)) for number in range(2 * SLICE + 50)]
    world = World(*accounts)
    engine = world.server.engine
    for _ in range(5):
        engine.expire()  # twice each account, so that the order is as before
    engine.append(accounts[7], Draft(Identifier.read("chat"), "x", False, None, None))
    world.settle()
    world.reactor.rightNow += FORGET_AFTER + 1  # without the calls that are due then
    left = []
    for _ in range(4):
        engine.expire()
        left.append(len(engine._states))
    assert left == [SLICE + 51, 51, 1, 1]
    assert list(engine._states) == [accounts[7].api_key]


def test_channels_are_left_some_in_each_call(nodes):
    first, second = nodes
    names = [[f"name{part}_{number}" for number in range(90)] for part in range(3)]
    for part in names:
        joined(first.stream("identifiers=" + ",".join(part))).lose()
    engine = first.server.engine
    followed = {name for part in names for name in part}
    assert all(engine.peek((API_KEY, name)) is not None for name in followed)
    first.reactor.rightNow += UNFOLLOW_DELAY + 1  # without the calls that are due then
    left = []
    for _ in range(3):
        assert engine.expire() is (len(left) < 2)  # whether more is due
        left.append(sum(engine.peek((API_KEY, name)) is not None for name in followed))
    assert left == [270 - SLICE, 270 - 2 * SLICE, 0]
    nodes.find()
    second.pushed("name0_0", "x")
    nodes.settle()
    assert engine.peek((API_KEY, "name0_0")) is None
    assert kinds(first.stream("identifiers=name0_0").frames()) == ["ready", "heartbeat"]


def test_pushes_that_grow_old_together_are_dropped_in_steps(nodes):
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=10_000))
    engine, account = world.server.engine, world.server.accounts.get(API_KEY)
    joined(world.stream("identifiers=chat"))
    count = 3 * MOST_STEPS - 100
    for number in range(count):
        engine.append(account, Draft(Identifier.read("chat"), str(number), False, None, None))
    world.settle()
    ring = engine.peek((API_KEY, "chat"))
    assert len(ring) == count
    world._suspended += RETENTION + SECOND
    world.reactor.advance(1)  # a beat, whose watermark says that all of them are too old
    world.settle()
    left = [len(ring)]
    for more in (True, False):
        assert engine.expire() is more
        left.append(len(ring))
    assert left == [count - MOST_STEPS, count - 2 * MOST_STEPS, 0]
