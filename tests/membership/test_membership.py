"""Draining and changes of accounts reach all listeners, a bounded number in each step of the reactor."""

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.runtime.epoll_loop import LoopHooks
from cometify.runtime.slices import STEP
from tests.membership.turns import Turns
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, secure_key

MANY = 3 * STEP + 1
ACCOUNT = Account(API_KEY, (API_SECRET,), listeners_per_ip=1000)
OTHER = Account("other", ("secret",))
GROUP = f"identifiers=chat&secureKey={secure_key('chat')}"


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def world(turns):
    return World(ACCOUNT, loop_hooks=LoopHooks(turns.call_soon))


def joined(world, turns):
    """Listeners that have read everything that they were sent."""
    wires = [world.websocket(GROUP) for _ in range(MANY)]
    turns.settle()
    for wire in wires:
        wire.frames()
    return wires


def told_in_each_step(wires, turns):
    """The numbers of listeners that were told something by now, and after each further turn of the reactor."""
    told = []
    for _ in range(500):  # The fan-out writes in slices of real time, so a slow machine needs many turns.
        told.append(sum(bool(wire.transport.value()) for wire in wires))
        if told[-1] == len(wires):
            break
        turns.turn()
    return told


def grows_by_slices(told):
    """True if no turn has reached more listeners than its steps allow, and the last has reached all.

    The bound is for all turns so far and not for each, because the fan-out writes in slices of real time: under load the
    frame of one step can be written in the next turn.
    """
    return all(count <= STEP * (turn + 1) for turn, count in enumerate(told)) and told[-1] == MANY


def test_drain_reaches_all_in_bounded_steps(world, turns):
    wires = joined(world, turns)
    world.server.drain()
    assert grows_by_slices(told_in_each_step(wires, turns))
    assert {wire.frames()[0]["type"] for wire in wires} == {"reconnect"}


def test_drain_sends_silent_websockets_away_in_steps(world, turns):
    wires = [world.websocket() for _ in range(MANY)]
    for wire in wires:
        wire.frames()
    world.server.drain()
    assert grows_by_slices(told_in_each_step(wires, turns))


def test_drain_is_over_only_when_all_were_told(world, turns):
    joined(world, turns)
    done = []
    world.server.drain().addCallback(done.append)
    assert world.server.membership.is_sending_away
    turns.settle()
    assert not world.server.membership.is_sending_away
    assert len(world.server.membership) == 0


def test_nobody_joins_between_two_steps_of_a_drain(world, turns):
    joined(world, turns)
    world.server.drain()
    assert world.server.membership.is_sending_away
    error, _close = world.websocket(GROUP).frames()
    assert error["code"] == "draining"


def test_listening_again_during_a_drain_is_a_reconnect(world, turns):
    *_, last = joined(world, turns)
    world.server.drain()
    last.transport.protocol.dataReceived(last.listen_frame({"identifiers": ["metrics"]}))
    turns.settle()
    assert [frame["type"] for frame in last.frames()] == ["reconnect", "(close)"]


def test_removed_account_ends_listeners_in_steps(world, turns):
    wires = joined(world, turns)
    world.server.change_accounts(Settings((OTHER,)))
    assert grows_by_slices(told_in_each_step(wires, turns))
    assert {wire.frames()[0]["detail"] for wire in wires} == {"This API key has been removed."}


def test_changed_secret_is_looked_at_in_steps(world, turns):
    wires = joined(world, turns)
    world.server.change_accounts(Settings((Account(API_KEY, ("another",), listeners_per_ip=1000),)))
    told = told_in_each_step(wires, turns)
    assert grows_by_slices(told)
    assert {wire.frames()[0]["type"] for wire in wires} == {"ready"}


@pytest.mark.parametrize(("secret", "sees"), [("another", ["chat"]), (API_SECRET, [])])
def test_listen_before_its_slice_is_judged_by_the_new_secret(world, turns, secret, sees):
    *_, last = joined(world, turns)
    world.server.change_accounts(Settings((Account(API_KEY, ("another",), listeners_per_ip=1000),)))
    group = {"identifiers": ["chat"], "secureKey": secure_key("chat", secret=secret)}
    last.transport.protocol.dataReceived(last.listen_frame(group))
    turns.settle()
    readies = [frame for frame in last.frames() if frame["type"] == "ready"]
    assert [ready["secret"] for ready in readies] == [sees]
    assert [bool(ready["warnings"]) for ready in readies] == [not sees]


def test_token_of_the_new_secret_counts_before_its_slice(world, turns):
    *_, last = joined(world, turns)
    world.server.change_accounts(Settings((Account(API_KEY, ("another",), listeners_per_ip=1000),)))
    last.transport.protocol.dataReceived(
        last.listen_frame({"identifiers": ["chat"], "token": world.token("chat", secret="another")})
    )
    turns.settle()
    assert [frame["secret"] for frame in last.frames() if frame["type"] == "ready"] == [["chat"]]


def test_second_change_of_accounts_replaces_the_first(world, turns):
    wires = joined(world, turns)
    world.server.change_accounts(Settings((OTHER,)))
    world.server.change_accounts(Settings((ACCOUNT,)))
    turns.settle()
    kinds = [[frame["type"] for frame in wire.frames()] for wire in wires]
    assert kinds.count(["error", "(close)"]) == STEP
    assert kinds.count([]) == MANY - STEP


def test_listening_again_after_the_key_was_removed_ends(world, turns):
    *_, last = joined(world, turns)
    world.server.change_accounts(Settings((OTHER,)))
    last.transport.protocol.dataReceived(last.listen_frame({"identifiers": ["metrics"]}))
    turns.settle()
    error, _close = last.frames()
    assert error["code"] == "not_authorized"
