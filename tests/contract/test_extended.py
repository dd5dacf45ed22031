"""Section 1: accounts with `identifiers = "extended"` have longer identifiers, with dots and hyphens."""

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
    gaps,
    kinds,
    post,
    push_fields,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import form, request_bytes, secure, secure_key

EXTENDED = Account(API_KEY, (API_SECRET,), identifiers="extended")
PLAIN = Account("1", (API_SECRET,))
NAMES = ("order.42", "private-chat", "Room-1.b", "x" * 100)
BEARER = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}


@pytest.fixture
def world():
    return World(EXTENDED, PLAIN, heartbeat=200)


def change(world, *accounts):
    world.server.change_accounts(Settings(accounts))
    world.settle()


def push_json(world, path, value, key=API_KEY):
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("POST", f"/{key}/{path}", json.dumps(value).encode(), BEARER))
    return wire.answer()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", NAMES)
def test_push_reaches_listeners_of_an_extended_name(world, transport, name):
    position = world.clock()
    query = f"identifiers={name}&position={position}&secureKey={secure_key(name)}"
    wire = by_query(world, transport, query)
    if transport != "poll":
        assert wire.frames()[0]["secret"] == [name.lower()]
    answer = world.push(name.upper(), "hush", secret=1)
    assert (answer.status, answer.json["identifier"]) == (200, name.lower())
    pushed = [frame for frame in wire.frames() if frame["type"] == "push"]
    assert [(frame["identifier"], frame["text"]) for frame in pushed] == [(name.lower(), "hush")]


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_frame_may_name_extended_identifiers(world, transport):
    world.pushed("order.42", "before", push_id=8)
    world.pushed("order.42", "too low", push_id=7)
    wire = by_frame(world, transport, {"identifiers": {"order.42": 7, "chat": 7}}, {"identifiers": "a-b"})
    assert texts(wire.frames()) == ["before"]
    if transport == "websocket":
        wire.listen({"identifiers": ["order.42", "c-d"]})
        wire.frames()
        world.pushed("c-d", "yours")
        assert texts(wire.frames()) == ["yours"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_colon_still_separates_an_internal_id(world, transport):
    world.pushed("order.42", "new", push_id=8)
    assert texts(by_query(world, transport, "identifiers=order.42:7,a-b:0").frames()) == ["new"]
    code, status = refusal(by_query(world, transport, "identifiers=order.42:7:8"))
    assert (code, status) == ("invalid_parameter", 4000 if transport == "websocket" else 400)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", [*NAMES, "x" * 61])
def test_plain_account_refuses_extended_names(world, transport, name):
    """Whether or not an extended account of the same server was asked for the same list before."""
    for _ in range(2):
        query = f"identifiers={name}"
        assert by_query(world, transport, query).frames()[0]["type"] == "ready"
        code, status = refusal(by_query(world, transport, query, key="1"))
        assert (code, status) == ("invalid_identifier", 4000 if transport == "websocket" else 400)


def test_plain_account_refuses_pushes_to_extended_names(world):
    """Only whoever can sign is told the rule of the account."""
    assert push_fields(world, "order.42", fields("order.42", "x")).status == 200
    for signed in (True, False):
        proof = secure("order.42", "x", key="1") if signed else "0" * 32
        answer = post(world, "/1/push/order.42", form({"text": "x", "secret": "0", "secure": proof}))
        assert (answer.status, code_of(answer)) == ((400, "invalid_identifier") if signed else (403, "not_authorized"))
    assert "write 1 to 60 of" in push_json(world, "push/order.42", {"text": "x", "secret": 0}, "1").json["detail"]


@pytest.mark.parametrize("key", [API_KEY, "1", "unknown"])
@pytest.mark.parametrize("name", ["order.42", "chat", "a b", "x" * 101])
def test_stranger_gets_one_answer_from_all_accounts(world, key, name):
    values = form({"identifier": name, "text": "x", "secret": "0", "secure": "0" * 32})
    answers = [post(world, f"/{other}/push/chat", values) for other in (key, "unknown")]
    assert answers[0].status == answers[1].status
    assert answers[0].json == answers[1].json


def test_parameter_and_batch_may_name_extended_identifiers(world):
    assert push_fields(world, "Order.42", fields("oRDER.42", "x")).status == 200
    assert code_of(push_fields(world, "order.42", fields("order-42", "x"))) == "identifier_mismatch"
    batch = [{"identifier": name, "text": "x", "secret": 0} for name in NAMES]
    answer = push_json(world, "push", batch)
    assert [one["identifier"] for one in answer.json] == [name.lower() for name in NAMES]
    refused = push_json(world, "push", [{"identifier": "chat", "text": "x", "secret": 0}, batch[0]], "1")
    assert (refused.status, code_of(refused)) == (400, "invalid_identifier")
    assert refused.json["detail"].startswith("Push 2 of the batch, nothing was pushed: 'order.42'")


def test_event_is_spelled_like_an_identifier_of_the_account(world):
    wire = by_query(world, "events", "form=raw&identifiers=order.42")
    wire.body()
    push = {"text": "x", "secret": 0, "event": "order.Created-1"}
    assert push_json(world, "push/order.42", push).status == 200
    assert push_json(world, "push/order.42", {"text": "y", "secret": 0}).status == 200
    events = [line for line in wire.body().split(b"\n") if line.startswith(b"event: ")]
    assert events == [b"event: order.Created-1", b"event: order.42"]
    refused = push_json(world, "push/chat", push, "1")
    assert (refused.status, code_of(refused)) == (400, "invalid_parameter")
    assert refused.json["detail"].startswith("event must be a name: write 1 to 60 of")


@pytest.mark.parametrize("named", ["order.42", "order.*", "o*", "*"])
def test_token_names_extended_identifiers_and_prefixes(world, named):
    wire = by_query(world, "stream", f"identifiers=Order.42,order-42&token={world.token(named)}")
    secret = wire.frames()[0]["secret"]
    assert secret == (["order.42"] if "." in named else ["order.42", "order-42"])


def test_private_patterns_may_name_extended_identifiers():
    private = Account(API_KEY, (API_SECRET,), identifiers="extended", private=("user-*", "a.b"))
    world = World(private, heartbeat=200)
    ready = by_query(world, "stream", "identifiers=chat,user-7,A.b,user.7").frames()[0]
    assert "a.b, user-7" in ready["warnings"][0]
    for name in ("User-7", "a.b"):
        answer = push_fields(world, name, fields(name, "x"))
        assert (answer.status, code_of(answer)) == (400, "must_be_secret")
        assert world.push(name, "x", secret=1).status == 200
    assert world.push("user.7", "x").status == 200


def test_inspector_shows_an_extended_identifier(world):
    world.pushed("order.42", "x")
    answer = world.admin("GET", f"/inspect?account={API_KEY}&identifier=Order.42")
    assert answer.status == 200
    assert "order.42" in json.dumps(answer.json)


# Accounts that change.


@pytest.mark.parametrize(
    ("transport", "groups"),
    [(transport, 1) for transport in TRANSPORTS]
    + [(transport, 2) for transport in TRANSPORTS if transport != "events"],
)
def test_reload_ends_listeners_of_names_no_longer_allowed(world, transport, groups):
    position = world.clock()
    wires = {}
    for names in (("chat", "order.42"), ("chat", "metrics")):
        if groups == 1:
            wires[names] = by_query(world, transport, f"identifiers={','.join(names)}&position={position}")
        else:
            asked = [{"identifiers": [name], "position": position} for name in names]
            wires[names] = by_frame(world, transport, *asked)
        if transport != "poll":
            wires[names].frames()
    ended, stays = wires.values()
    change(world, Account(API_KEY, (API_SECRET,)), PLAIN)
    if transport == "poll":
        assert refusal(ended) == ("invalid_identifier", 400)
    else:
        error = ended.frames()[0]
        assert (error["type"], error["code"], error["retry"]) == ("error", "invalid_identifier", None)
        assert "'order.42'" in error["detail"]
    world.pushed("chat", "to all")
    assert texts(stays.frames()) == ["to all"]
    assert world.push("order.42", "x").status == 400
    code, _status = refusal(by_query(world, transport, "identifiers=chat,order.42"))
    assert code == "invalid_identifier"


def test_reload_allows_extended_names_at_once(world):
    wire = by_query(world, "websocket", "identifiers=chat", key="1")
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    change(world, EXTENDED, Account("1", (API_SECRET,), identifiers="extended"))
    assert wire.frames() == []
    wire.listen({"identifiers": ["chat", "order.42"]})
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    answer = world.push("order.42", "yours", key="1")
    assert answer.json["listeners"] == 1
    assert texts(wire.frames()) == ["yours"]


def test_frame_that_waited_is_checked_by_the_rule_of_now(world):
    wire = by_query(world, "websocket", "identifiers=chat")
    wire.frames()
    for _ in range(62):
        wire.listen({"identifiers": ["chat"]})
    wire.listen({"identifiers": ["chat", "order.42"]})
    assert "error" not in kinds(wire.frames())
    change(world, Account(API_KEY, (API_SECRET,)), PLAIN)
    assert "error" not in kinds(wire.frames())
    world.advance(2)
    error = next(frame for frame in wire.frames() if frame["type"] == "error")
    assert error["code"] == "invalid_identifier"


def test_kept_pushes_are_there_when_the_name_is_allowed_again(world):
    position = world.clock() - 1
    world.pushed("order.42", "kept")
    for accounts in ((Account(API_KEY, (API_SECRET,)),), (EXTENDED,)):
        change(world, *accounts)
    frames = by_query(world, "stream", f"identifiers=order.42&position={position}").frames()
    assert (texts(frames), gaps(frames)) == (["kept"], [])
