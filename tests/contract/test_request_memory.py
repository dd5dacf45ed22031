"""`request_memory`: nonces and Idempotency-Keys are bounded, and none of them is forgotten early to make room."""

import itertools
import json

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, code_of, texts
from tests.memory import World
from tests.wire import request_bytes, seal

PUSH, BATCH, DISCONNECT = f"/{API_KEY}/push/chat", f"/{API_KEY}/push", f"/{API_KEY}/disconnect"
JSON = "application/json"
BEARER = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": JSON}
SUBJECT = b'{"subject":"user_7"}'
MINUTE = 60
numbers = itertools.count()


def bounded(most=3, **more):
    world = World(Account(API_KEY, (API_SECRET,), request_memory=most, **more), Account("other", (API_SECRET,)))
    return world, listener(world)


def listener(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    return wire


def send(world, path, body, headers):
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("POST", path, body, headers))
    return wire.answer()


def text_of(text):
    return json.dumps({"text": text, "secret": 0}).encode()


def keyed(world, key, text="x"):
    return send(world, PUSH, text_of(text), {**BEARER, "Idempotency-Key": key})


def signed(world, nonce=None, path=PUSH, body=None, key=""):
    sent = text_of("x") if body is None else body
    made = f"nonce-{next(numbers):032}" if nonce is None else nonce
    return send(world, path, sent, seal(path, sent, world.wall(), made, kind=JSON, key=key))


def batch(world, count, key):
    pushes = [{"identifier": "chat", "text": f"{key} {number}", "secret": 0} for number in range(count)]
    return send(world, BATCH, json.dumps(pushes).encode(), {**BEARER, "Idempotency-Key": key})


def assert_full(answer, seconds):
    assert (answer.status, code_of(answer)) == (429, "too_many_pushes")
    assert int(answer.headers["retry-after"]) == seconds
    assert "Nothing was pushed" in answer.json["detail"]
    assert "request_memory" in answer.json["detail"]


def test_new_key_is_refused_while_the_oldest_is_remembered():
    world, wire = bounded()
    for key in ("one", "two", "three"):
        assert keyed(world, key).status == 200
        world.advance(100, step=20)
    assert_full(keyed(world, "four"), 300)
    assert [keyed(world, key).json["duplicate"] for key in ("one", "two", "three")] == [True] * 3
    assert code_of(keyed(world, "one", "another text")) == "idempotency_mismatch"
    assert texts(wire.frames()) == ["x"] * 3
    world.advance(300, step=20)
    assert "duplicate" not in keyed(world, "four").json
    assert_full(keyed(world, "five"), 100)


def test_new_nonce_is_refused_and_used_one_stays_used():
    world, wire = bounded()
    used = [f"nonce-{number:032}" for number in range(10**6, 10**6 + 3)]
    for nonce in used:
        assert signed(world, nonce).status == 200
        world.advance(50, step=25)
    assert_full(signed(world, "one-nonce-too-many"), 450)
    assert [code_of(signed(world, nonce)) for nonce in used] == ["nonce_reused"] * 3
    assert texts(wire.frames()) == ["x"] * 3
    world.advance(450, step=20)
    assert signed(world, "one-nonce-too-many").status == 200


def test_request_with_a_key_can_be_repeated_at_the_bound():
    world, wire = bounded(1)
    nonce = f"nonce-{next(numbers):032}"
    assert signed(world, nonce, key="key").status == 200
    assert signed(world, nonce, key="key").json["duplicate"] is True
    assert texts(wire.frames()) == ["x"]


def test_batch_needs_room_for_all_its_pushes():
    world, wire = bounded(5)
    assert keyed(world, "one").status == 200
    world.advance(100, step=20)
    assert batch(world, 3, "three").status == 200
    assert len(texts(wire.frames())) == 4
    assert_full(batch(world, 2, "two"), 500)
    assert texts(wire.frames()) == []
    assert batch(world, 3, "three").json[2]["duplicate"] is True
    assert keyed(world, "last").status == 200
    assert_full(keyed(world, "more"), 500)
    world.advance(500, step=20)
    assert_full(batch(world, 2, "two"), 100)
    assert keyed(world, "more").status == 200


def test_largest_batch_fits_the_lowest_bound():
    world, wire = bounded(100)
    assert batch(world, 100, "all").status == 200
    assert len(texts(wire.frames())) == 100
    assert_full(keyed(world, "one"), 600)


def test_batch_without_a_key_uses_one_nonce():
    world, _wire = bounded(2)
    body = json.dumps([{"identifier": "chat", "text": "x", "secret": 0}] * 3).encode()
    assert [signed(world, path=BATCH, body=body).status for _ in range(3)] == [200, 200, 429]


def test_refused_pushes_take_no_room():
    world, _wire = bounded(2, pushes_per_second=1, push_burst=1)
    assert keyed(world, "one").status == 200
    assert code_of(keyed(world, "two")) == code_of(signed(world)) == "too_many_pushes"
    world.advance(1)
    assert keyed(world, "two").status == 200
    world.advance(1)
    assert signed(world).status == 200
    world.advance(1)
    assert_full(keyed(world, "three"), 597)


def test_signed_disconnect_is_refused_at_the_bound():
    world, wire = bounded(2)
    assert signed(world, path=DISCONNECT, body=SUBJECT).json == {"disconnected": 0}
    world.advance(10)
    assert signed(world).status == 200
    assert_full(signed(world, path=DISCONNECT, body=SUBJECT), 590)
    assert send(world, DISCONNECT, SUBJECT, BEARER).json == {"disconnected": 0}
    assert texts(wire.frames()) == ["x"]


def test_pushes_with_neither_and_other_accounts_go_on():
    world, wire = bounded(1)
    assert keyed(world, "key").status == 200
    assert signed(world).status == 200
    assert_full(keyed(world, "another"), 600)
    for number in range(3):
        world.pushed("chat", f"{number}")
        other = {**BEARER, "Idempotency-Key": "another"}
        assert send(world, "/other/push/chat", text_of("x"), other).status == 200
    assert len(texts(wire.frames())) == 5


def test_refusals_at_the_bound_are_counted():
    world, _wire = bounded(1)
    keyed(world, "key")
    signed(world)
    for answer in (keyed(world, "more"), signed(world), signed(world, path=DISCONNECT, body=SUBJECT)):
        assert answer.status == 429
    metrics = world.admin("GET", "/metrics").body.decode().splitlines()
    assert 'cometify_pushes_refused_total{code="too_many_pushes"} 2.0' in metrics
    assert 'cometify_disconnects_refused_total{code="too_many_pushes"} 1.0' in metrics


@pytest.mark.memory
def test_openapi_tells_that_these_requests_can_be_too_many():
    world, _wire = bounded()
    paths = world.request("GET", "/openapi.json").answer().json["paths"]
    for path in ("/{apiKey}/push/{identifier}", "/{apiKey}/push", "/{apiKey}/disconnect"):
        assert "429" in paths[path]["post"]["responses"]


@pytest.mark.parametrize("lowered", [1, 2])
def test_lowered_bound_counts_at_once(lowered):
    world, _wire = bounded(4)
    for key in ("one", "two", "three", "four"):
        keyed(world, key)
        world.advance(MINUTE, step=20)
    account = Account(API_KEY, (API_SECRET,), request_memory=lowered)
    world.server.change_accounts(type(world.server.settings)((account,)))
    world.settle()
    assert_full(keyed(world, "five"), (10 - lowered) * MINUTE)
    assert keyed(world, "one").json["duplicate"] is True
