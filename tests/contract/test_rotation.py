"""An API secret is replaced: for a while two are live, then the old one is retired."""

import itertools
import json

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    FORM,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    fields,
    form,
    kinds,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import request_bytes, seal, secure, secure_key

PATH, BATCH, JSON = f"/{API_KEY}/push/chat", f"/{API_KEY}/push", "application/json"
ONE = json.dumps({"text": "x", "secret": 0}).encode()
MANY = json.dumps([{"identifier": "chat", "text": "x", "secret": 0}]).encode()
WAYS = ("secure", "v2", "bearer", "v2 batch", "bearer batch")
NONCES = itertools.count()


def reload(world, *secrets):
    world.server.change_accounts(Settings((Account(API_KEY, secrets),)))
    world.settle()


def push(world, way, secret):
    path, body = (BATCH, MANY) if way.endswith("batch") else (PATH, ONE)
    if way == "secure":
        body = form(fields("chat", "x", secure=secure("chat", "x", secret=secret)))
        headers = {"Content-Type": FORM}
    elif way.startswith("v2"):
        headers = seal(path, body, world.wall(), f"rotation-{next(NONCES):08}", secret, JSON)
    else:
        headers = {"Content-Type": JSON, "Authorization": f"Bearer {secret}"}
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("POST", path, body, headers))
    return wire.answer()


def proof(world, kind, secret):
    if kind == "secureKey":
        return {"secureKey": secure_key("chat", secret=secret)}
    return {"token": world.token("chat", secret=secret)}


def listens(world, transport, proof):
    (item,) = proof.items()
    return by_query(world, transport, f"identifiers=chat&{'='.join(item)}&position={world.clock()}")


@pytest.mark.parametrize("way", WAYS)
def test_pushes_by_both_secrets_are_taken_until_one_is_retired(way):
    world = World(Account(API_KEY, ("old",)))
    assert [push(world, way, secret).status for secret in ("old", "new")] == [200, 403]
    reload(world, "new", "old")
    assert [push(world, way, secret).status for secret in ("old", "new", "older")] == [200, 200, 403]
    reload(world, "new")
    refused = push(world, way, "old")
    assert (refused.status, refused.json["code"]) == (403, "not_authorized")
    assert push(world, way, "new").status == 200


@pytest.mark.parametrize("order", [("new", "old"), ("old", "new")])
@pytest.mark.parametrize("kind", ["secureKey", "token"])
@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_both_secrets_give_the_right_and_a_retired_one_none(transport, kind, order):
    world = World(Account(API_KEY, order))
    for secret in order:
        wire = by_frame(world, transport, {"identifiers": ["chat"], **proof(world, kind, secret)})
        assert wire.frames()[0]["secret"] == ["chat"]
    reload(world, "new")
    wire = by_frame(world, transport, {"identifiers": ["chat"], **proof(world, kind, "old")})
    if kind == "token":
        assert refusal(wire)[0] == "invalid_token"
    else:
        ready = wire.frames()[0]
        assert (ready["secret"], len(ready["warnings"])) == ([], 1)
    wire = by_frame(world, transport, {"identifiers": ["chat"], **proof(world, kind, "new")})
    assert wire.frames()[0]["secret"] == ["chat"]


@pytest.mark.parametrize("kind", ["secureKey", "token"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_listeners_of_the_retired_secret_are_told_at_once(transport, kind):
    world = World(Account(API_KEY, ("new", "old")), heartbeat=200)
    old, new = [listens(world, transport, proof(world, kind, secret)) for secret in ("old", "new")]
    if transport != "poll":
        assert [wire.frames()[0]["secret"] for wire in (old, new)] == [["chat"], ["chat"]]
    reload(world, "new")
    assert not new.answered if transport == "poll" else new.frames() == []
    ready = old.frames()[0]
    assert (ready["type"], ready["secret"]) == ("ready", [])


@pytest.mark.parametrize("transport", OPEN)
def test_page_that_renews_its_token_in_time_notices_nothing(transport):
    world = World(Account(API_KEY, ("old",)), heartbeat=200)
    plain = by_query(world, transport, "identifiers=chat")
    first = listens(world, transport, proof(world, "token", "old"))
    plain.frames(), first.frames()
    reload(world, "new", "old")
    assert plain.frames() == first.frames() == []
    push(world, "v2", "new")
    renewed = listens(world, transport, proof(world, "token", "new"))
    assert texts(plain.frames()) == texts(first.frames()) == ["x"]
    assert renewed.frames()[0]["secret"] == ["chat"]
    first.lose()
    reload(world, "new")
    push(world, "secure", "new")
    for wire in (plain, renewed):
        assert kinds(wire.frames()) == ["push"]
