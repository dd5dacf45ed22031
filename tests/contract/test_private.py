"""Section 3: private identifiers. A push to one must be secret, and a group needs a right to join one."""

import json

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    TRANSPORTS,
    by_frame,
    by_query,
    code_of,
    fields,
    kinds,
    push_fields,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import request_bytes, secure_key

PRIVATE = ("user_*", "orders")


def account(*private):
    return Account(API_KEY, (API_SECRET,), private=private)


@pytest.fixture
def world():
    return World(account(*PRIVATE), heartbeat=200)


def change(world, *private):
    world.server.change_accounts(Settings((account(*private),)))
    world.settle()


def test_public_push_to_a_private_identifier_is_refused(world):
    wire = by_query(world, "websocket", f"identifiers=user_7&secureKey={secure_key('user_7')}")
    wire.frames()
    for name in ("user_7", "USER_7", "orders"):
        answer = push_fields(world, name, fields(name, "x"))
        assert (answer.status, code_of(answer)) == (400, "must_be_secret")
    assert wire.frames() == []
    world.pushed("user_7", "yours", secret=1)
    world.pushed("chat", "to all")
    assert texts(wire.frames()) == ["yours"]


def test_wrong_signature_is_not_told_what_is_private(world):
    answer = push_fields(world, "orders", fields("orders", "x", secure="0" * 32))
    assert code_of(answer) == "not_authorized"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("proof", ["", "&secureKey=wrong"])
def test_group_without_a_right_joins_the_others(world, transport, proof):
    wire = by_query(world, transport, f"identifiers=Chat,USER_7,orders{proof}")
    ready = wire.frames()[0]
    assert ready["secret"] == []
    assert len(ready["positions"]) == 1
    assert len(ready["warnings"]) == 1 + bool(proof)
    assert "orders, user_7" in ready["warnings"][0]
    if transport != "poll":
        assert world.push("user_7", "hush", secret=1).json["listeners"] == 0
        world.pushed("chat", "to all")
        assert texts(wire.frames()) == ["to all"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_token_lets_a_group_join_what_it_names(world, transport):
    wire = by_query(world, transport, f"identifiers=user_7:0,orders:0,chat:0&token={world.token('user_*')}")
    ready = wire.frames()[0]
    assert ready["secret"] == ["user_7"]
    (warning,) = ready["warnings"]
    assert "orders" in warning
    assert "user_7" not in warning


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_positions_stay_one_for_each_group(world, transport):
    groups = (
        {"identifiers": ["orders"]},
        {"identifiers": ["user_7"], "secureKey": secure_key("user_7"), "position": world.clock() - 5},
        {"identifiers": ["chat"]},
    )
    ready = by_frame(world, transport, *groups).frames()[0]
    assert len(ready["positions"]) == 3
    assert ready["positions"][1] < ready["positions"][0] == ready["positions"][2]
    assert ready["secret"] == ["user_7"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listener_that_is_left_nothing_is_refused(world, transport):
    wire = by_query(world, transport, "identifiers=user_7,orders")
    raw = wire.transport.value()
    assert b"orders, user_7: private" in raw
    assert refusal(wire) == ("not_authorized", 4001 if transport == "websocket" else 403)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_resuming_poll_or_stream_is_warned_again(world, transport):
    wire = by_query(world, transport, f"identifiers=chat,orders&position={world.clock()}")
    world.pushed("chat", "x")
    frames = wire.frames()
    assert frames[0]["type"] == "ready"
    assert len(frames[0]["warnings"]) == 1
    assert texts(frames) == ["x"]


def test_later_listen_with_a_right_joins_the_private_one(world):
    position = world.clock()
    wire = by_query(world, "websocket", "identifiers=chat,orders")
    wire.frames()
    world.pushed("orders", "missed", secret=1)
    wire.listen({"identifiers": ["chat", "orders"], "secureKey": secure_key("chat,orders"), "position": position})
    frames = wire.frames()
    assert frames[0]["secret"] == ["chat", "orders"]
    assert frames[0]["warnings"] == []
    assert texts(frames) == ["missed"]


# Accounts that change.


@pytest.mark.parametrize(
    ("transport", "groups"),
    [(transport, 1) for transport in TRANSPORTS]
    + [(transport, 2) for transport in TRANSPORTS if transport != "events"],
)
def test_reload_takes_what_became_private(transport, groups):
    world = World(account(), heartbeat=200)
    position = world.clock()
    if groups == 1:
        wire = by_query(world, transport, f"identifiers=chat,orders&position={position}")
    else:
        asked = [{"identifiers": [name], "position": position} for name in ("orders", "chat")]
        wire = by_frame(world, transport, *asked)
    assert transport == "poll" or kinds(wire.frames()) == ["ready", "heartbeat"]
    change(world, "news")
    assert transport == "poll" or wire.frames() == []
    change(world, "orders")
    frames = wire.frames()
    assert kinds(frames) == ["ready", "heartbeat"]
    assert len(frames[0]["positions"]) == groups
    (warning,) = frames[0]["warnings"]
    assert "orders" in warning
    if transport == "poll":
        return
    assert world.push("orders", "hush", secret=1).json["listeners"] == 0
    world.pushed("chat", "to all")
    assert texts(wire.frames()) == ["to all"]
    change(world)
    assert kinds(wire.frames())[0] == "ready"
    world.pushed("orders", "public again")
    assert texts(wire.frames()) == ["public again"]
    change(world, "*")
    code, _status = told(wire)
    assert code == "not_authorized"


def told(wire):
    """(code, retry) of the error that ends a connection."""
    error = wire.frames()[0]
    assert error["type"] == "error"
    return error["code"], error["retry"]


def test_reload_leaves_those_with_a_right_alone():
    world = World(account(), heartbeat=200)
    by_key = by_query(world, "websocket", f"identifiers=orders&secureKey={secure_key('orders')}")
    by_token = by_query(world, "websocket", f"identifiers=orders&token={world.token('*')}")
    for wire in (by_key, by_token):
        wire.frames()
    change(world, "orders")
    assert (by_key.frames(), by_token.frames()) == ([], [])
    world.pushed("orders", "yours", secret=1)
    assert texts(by_key.frames()) == texts(by_token.frames()) == ["yours"]


# Tokens that expire.


def test_expired_token_takes_its_private_identifiers(world):
    wire = by_query(world, "websocket", f"identifiers=chat,user_7&token={world.token('*', lasts=10)}")
    wire.frames()
    world.advance(11)
    ready, *_ = wire.frames()
    assert (ready["type"], ready["secret"], len(ready["positions"])) == ("ready", [], 1)
    assert any("user_7" in warning for warning in ready["warnings"])
    assert world.push("user_7", "hush", secret=1).json["listeners"] == 0
    world.pushed("chat", "to all")
    assert texts(wire.frames()) == ["to all"]
    token = world.token("*")
    wire.listen({"identifiers": ["chat", "user_7"], "token": token, "position": ready["positions"][0]})
    frames = wire.frames()
    assert frames[0]["secret"] == ["chat", "user_7"]
    assert texts(frames) == ["hush"]


@pytest.mark.parametrize("transport", ["websocket", "stream", "events"])
def test_listener_that_had_only_its_token_ends_with_it(world, transport):
    wire = by_query(world, transport, f"identifiers=orders,user_7&token={world.token('*', lasts=10)}")
    position = world.pushed("user_7", "before", secret=1)
    wire.frames()
    world.advance(11)
    world.push("user_7", "after", secret=1)
    assert told(wire) == ("invalid_token", None)
    again = by_query(world, transport, f"identifiers=orders,user_7&token={world.token('*')}&position={position}")
    assert texts(again.frames()) == ["after"]


def test_batch_is_refused_whole(world):
    pushes = [{"identifier": name, "text": "x", "secret": 0} for name in ("chat", "orders")]
    wire = world.connect("127.0.0.1")
    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    wire.receive(request_bytes("POST", f"/{API_KEY}/push", json.dumps(pushes).encode(), headers))
    answer = wire.answer()
    assert "Push 2 of the batch" in answer.json["detail"]
    assert (answer.status, code_of(answer)) == (400, "must_be_secret")
