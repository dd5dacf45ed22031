"""Pushes signed with HMAC, and batches of them. The wall clock, with which timestamps are compared, is the tests' own."""

import json
import time
from itertools import count

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, FORM, code_of, fields, form, positions, push_fields, texts
from tests.memory import World
from tests.wire import request_bytes, seal, secure

ODD = {"Proxy-Connection": "keep-alive"}
"""A header with which a request goes the way of twisted.web."""
PATH = f"/{API_KEY}/push/chat"
BATCH = f"/{API_KEY}/push"
JSON = "application/json"
nonces = (f"nonce-{number:032}" for number in count())


def sealed(world, path, body, *, target=None, kind=JSON, off=0, nonce=None, secret=API_SECRET, more=None):
    """Sign and send a request. `target`: what is sent instead of `path`. `more`: headers besides; None leaves one out."""
    headers = (
        seal(path, body, world.wall() + off, nonce or next(nonces), secret) | {"Content-Type": kind} | (more or {})
    )
    return send(world, target or path, body, {name: value for name, value in headers.items() if value is not None})


def send(world, target, body, headers):
    wire = world.connect()
    wire.receive(request_bytes("POST", target, body, headers))
    return wire.answer()


def push_json(text="Hello", **more):
    return json.dumps({"text": text, "secret": 0, **more}).encode()


def batch(*names, **more):
    return json.dumps([{"identifier": name, "text": f"to {name}", "secret": 0, **more} for name in names]).encode()


# One push.


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, push_json("Grüße")),
        (FORM, form({"text": "Grüße", "secret": "0", "secure": "not looked at"})),
        (None, form({"identifier": "CHAT", "text": "Grüße", "secret": "0"})),
    ],
)
def test_a_signed_push_needs_no_secure(world, way, kind, body):
    wire = world.stream("identifiers=chat")
    answer = sealed(world, PATH, body, kind=kind, more=way)
    assert answer.json == {"identifier": "chat", "push_id": None, "position": answer.json["position"], "listeners": 1}
    assert texts(wire.frames()) == ["Grüße"]


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("path", "target"),
    [
        (PATH, PATH + "?a=b"),
        (PATH, f"http://push.example{PATH}"),
        (f"/{API_KEY}/push/ch%61t", None),
        (f"/{API_KEY}/push/CHAT", None),
        (BATCH, BATCH + "?"),
    ],
)
def test_the_path_is_signed_as_it_is_sent_without_the_query(world, way, path, target):
    body = batch("chat") if path == BATCH else push_json()
    assert sealed(world, path, body, target=target, more=way).status == 200
    assert code_of(sealed(world, path, body, target=path.replace("push", "pus%68"), more=way)) == "not_authorized"


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"more": {"Cometify-Timestamp": None}}, "missing_parameter"),
        ({"more": {"Cometify-Nonce": None}}, "missing_parameter"),
        ({"more": {"Cometify-Timestamp": "soon"}}, "invalid_parameter"),
        ({"more": {"Cometify-Nonce": "short"}}, "invalid_parameter"),
        ({"more": {"Cometify-Signature": "0" * 64}}, "not_authorized"),
        ({"more": {"Cometify-Nonce": "0" * 32}}, "not_authorized"),
        ({"secret": "another"}, "not_authorized"),
        ({"off": 301}, "not_authorized"),
        ({"off": -301}, "not_authorized"),
    ],
)
def test_a_wrong_seal_is_refused_and_pushes_nothing(world, way, changes, code):
    wire = world.stream("identifiers=chat")
    for path, body in ((PATH, push_json()), (BATCH, batch("chat"))):
        more = way | changes.get("more", {})
        assert code_of(sealed(world, path, body, **(changes | {"more": more}))) == code
        assert texts(wire.frames()) == []


def test_a_right_secure_does_not_mend_a_wrong_seal(world):
    body = form(fields("chat", "Hello"))
    assert code_of(sealed(world, PATH, body, kind=FORM, more={"Cometify-Signature": "0" * 64})) == "not_authorized"


def test_a_header_sent_twice_is_refused(world):
    body = push_json()
    for name, value in seal(PATH, body, world.wall(), next(nonces)).items():
        headers = seal(PATH, body, world.wall(), next(nonces)) | {name + " ": value}
        wire = world.connect()
        wire.receive(request_bytes("POST", PATH, body, headers).replace(name.encode() + b" :", name.encode() + b":"))
        assert code_of(wire.answer()) == "repeated_parameter"


def test_an_unknown_key_and_a_wrong_signature_get_the_same_answer(world):
    body = push_json()
    unknown = sealed(world, "/unknown/push/chat", body)
    wrong = sealed(world, PATH, body, secret="another")
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)


def test_the_signature_is_looked_at_before_the_body(world):
    assert code_of(sealed(world, PATH, b"\xff", secret="another")) == "not_authorized"
    assert code_of(sealed(world, PATH, b"\xff")) == "invalid_body"


def test_every_parameter_is_signed(world):
    body = push_json("Hello", push_id=7)
    headers = seal(PATH, body, world.wall(), next(nonces)) | {"Content-Type": JSON}
    for changed in (body.replace(b'"secret": 0', b'"secret": 1'), body.replace(b"7", b"8"), body + b" "):
        assert changed != body
        wire = world.connect()
        wire.receive(request_bytes("POST", PATH, changed, headers))
        assert code_of(wire.answer()) == "not_authorized"


def test_the_boundary_trap_does_not_catch_who_signs_with_hmac(world):
    assert secure("room1", "10") == secure("room11", "0")
    for name, text in (("room1", "10"), ("room11", "0")):
        assert sealed(world, f"/{API_KEY}/push/{name}", push_json(text)).status == 200


# Nonces.


def test_a_nonce_is_good_once(world):
    wire = world.stream("identifiers=chat,metrics")
    nonce = next(nonces)
    assert sealed(world, PATH, push_json("one"), nonce=nonce).status == 200
    other = f"/{API_KEY}/push/metrics"
    for path, body in ((PATH, push_json("one")), (other, push_json("two")), (BATCH, batch("chat", "metrics"))):
        assert code_of(sealed(world, path, body, nonce=nonce)) == "nonce_reused"
    assert texts(wire.frames()) == ["one"]


def test_a_request_cannot_be_replayed_as_long_as_its_timestamp_is_taken(world):
    nonce, body = next(nonces), push_json()
    headers = seal(PATH, body, world.wall() + 300, nonce) | {"Content-Type": JSON}

    def send():
        wire = world.connect()
        wire.receive(request_bytes("POST", PATH, body, headers))
        return wire.answer()

    assert send().status == 200
    for seconds in (1, 298, 300, 0.75):
        world.advance(seconds, step=5)
        assert code_of(send()) == "nonce_reused"
    world.advance(0.25)
    assert code_of(send()) == "not_authorized"
    assert sealed(world, PATH, body, nonce=nonce).status == 200


def test_a_refused_request_uses_up_no_nonce(world):
    nonce = next(nonces)
    assert code_of(sealed(world, PATH, push_json("\0"), nonce=nonce)) == "invalid_text"
    assert code_of(sealed(world, PATH, push_json(), nonce=nonce, secret="another")) == "not_authorized"
    assert sealed(world, PATH, push_json(), nonce=nonce).status == 200


def test_nonces_are_each_accounts_own():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    nonce = next(nonces)
    for key in (API_KEY, "other"):
        assert sealed(world, f"/{key}/push/chat", push_json(), nonce=nonce).status == 200


def test_an_account_can_demand_hmac():
    world = World(Account(API_KEY, (API_SECRET,), signatures="v2"))
    assert code_of(push_fields(world, "chat", fields("chat", "Hello"))) == "not_authorized"
    assert sealed(world, PATH, push_json()).status == 200
    assert code_of(push_fields(World(), "chat", fields("chat", "Hello", secure="0" * 32))) == "not_authorized"


def test_both_live_secrets_sign():
    world = World(Account(API_KEY, ("new", "old")))
    assert [sealed(world, PATH, push_json(), secret=secret).status for secret in ("new", "old", "older")] == [
        200,
        200,
        403,
    ]


# With an Idempotency-Key.


def test_a_request_with_a_key_can_be_sent_again_exactly_as_it_was(world):
    wire = world.stream("identifiers=chat,news")
    for path, body in ((PATH, push_json("one")), (BATCH, batch("chat", "news"))):
        headers = seal(path, body, world.wall(), next(nonces)) | {
            "Content-Type": JSON,
            "Idempotency-Key": "key of " + path,
        }
        first, again = (send(world, path, body, headers).json for _ in range(2))
        told = again if path == BATCH else [again]
        assert [answer.pop("duplicate") for answer in told] == [True] * len(told)
        assert again == first
    assert texts(wire.frames()) == ["one", "to chat", "to news"]


def test_a_key_is_looked_at_after_the_signature(world):
    more = {"Idempotency-Key": "key"}
    assert sealed(world, PATH, push_json("one"), more=more).status == 200
    assert code_of(sealed(world, PATH, push_json("one"), more=more, secret="another")) == "not_authorized"
    assert code_of(sealed(world, PATH, push_json("two"), more=more)) == "idempotency_mismatch"
    assert sealed(world, PATH, push_json("one"), more=more).json["duplicate"]


def test_the_key_of_a_batch_is_for_that_batch_alone(world):
    wire = world.stream("identifiers=a,b,c,d")
    more = {"Idempotency-Key": "key"}
    assert sealed(world, f"/{API_KEY}/push/d", push_json("single"), more=more).status == 200
    assert sealed(world, BATCH, batch("a", "b"), more=more).status == 200
    for other in (batch("a", "b", "c"), batch("a"), batch("b", "a"), batch("a", "b", text="other")):
        assert code_of(sealed(world, BATCH, other, more=more)) == "idempotency_mismatch"
    again = sealed(world, BATCH, batch("a", "b"), more=more).json
    assert [answer["duplicate"] for answer in again] == [True, True]
    assert texts(wire.frames()) == ["single", "to a", "to b"]


def test_a_batch_with_the_key_of_another_that_begins_alike_does_not_get_past_its_nonce(world):
    wire = world.stream("identifiers=a,pay")
    key = {"Idempotency-Key": "key"}
    assert sealed(world, BATCH, batch("a"), more=key).status == 200
    headers = seal(BATCH, batch("a", "pay"), world.wall(), next(nonces)) | {"Content-Type": JSON}
    assert send(world, BATCH, batch("a", "pay"), headers).status == 200
    assert code_of(send(world, BATCH, batch("a", "pay"), headers)) == "nonce_reused"
    assert code_of(send(world, BATCH, batch("a", "pay"), headers | key)) == "idempotency_mismatch"
    assert texts(wire.frames()) == ["to a", "to a", "to pay"]


# A batch.


@pytest.mark.parametrize("way", [{}, ODD])
def test_a_batch_is_pushed_in_its_order_with_one_answer(world, way):
    wire = world.stream("identifiers=chat,metrics")
    wire.frames()
    other = world.stream("identifiers=metrics")
    body = json.dumps(
        [
            {"identifier": "Chat", "text": "one", "secret": 0, "push_id": 7},
            {"identifier": "metrics", "text": "two", "secret": 0, "push_id": str(2**60)},
            {"identifier": "news", "text": "three", "secret": 1},
            {"identifier": "chat", "text": "four", "secret": "0"},
        ]
    ).encode()
    answer = sealed(world, BATCH, body, more=way)
    assert answer.status == 200
    assert answer.headers["content-type"] == JSON
    at = [told["position"] for told in answer.json]
    assert sorted(set(at)) == at
    assert answer.json == [
        {"identifier": "chat", "push_id": 7, "position": at[0], "listeners": 1},
        {"identifier": "metrics", "push_id": str(2**60), "position": at[1], "listeners": 2},
        {"identifier": "news", "push_id": None, "position": at[2], "listeners": 0},
        {"identifier": "chat", "push_id": None, "position": at[3], "listeners": 1},
    ]
    frames = wire.frames()
    assert texts(frames) == ["one", "two", "four"]
    assert positions(frames) == [at[0], at[1], at[3]]
    assert texts(other.frames()) == ["two"]
    assert world.server.push.accepted == 4


def test_100_pushes_of_the_longest_text_fit_in_one_batch(world):
    body = batch(*[f"name{number}" for number in range(100)], text="x" * 65_536)
    assert len(sealed(world, BATCH, body).json) == 100
    assert code_of(sealed(world, BATCH, batch(*["chat"] * 101))) == "invalid_body"


def test_an_empty_batch_pushes_nothing(world):
    assert sealed(world, BATCH, b"[]").json == []


def test_a_body_of_more_than_8_mib_is_too_large(world):
    body = b"[" + b" " * (8 * 2**20 - 2) + b"]"
    assert sealed(world, BATCH, body).status == 200
    wire = world.connect()
    headers = {"Content-Type": JSON, "Content-Length": str(8 * 2**20 + 1)}
    wire.receive(request_bytes("POST", BATCH, None, headers))
    assert code_of(wire.answer()) == "body_too_large"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"secret": 2}, "invalid_parameter"),
        ({"text": None}, "missing_parameter"),
        ({"text": "a\0b"}, "invalid_text"),
        ({"text": "x" * 65_537}, "text_too_long"),
        ({"identifier": "7up"}, "invalid_identifier"),
    ],
)
def test_all_are_checked_before_any_is_pushed(world, wrong, code):
    wire = world.stream("identifiers=chat")
    nonce = next(nonces)
    good = json.loads(batch("chat", "chat", "chat"))
    answer = sealed(world, BATCH, json.dumps([*good[:2], good[2] | wrong]).encode(), nonce=nonce)
    assert code_of(answer) == code
    assert "Push 3 of the batch" in answer.json["detail"]
    assert texts(wire.frames()) == []
    assert world.server.push.accepted == 0
    assert sealed(world, BATCH, json.dumps(good).encode(), nonce=nonce).status == 200
    assert len(texts(wire.frames())) == 3


def test_a_batch_needs_a_seal(world):
    answer = world.request("POST", BATCH, batch("chat"), Content_Type=JSON).answer()
    assert code_of(answer) == "missing_parameter"
    assert "Cometify-Timestamp" in answer.json["detail"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [(JSON, 200), ("Application/JSON; charset=utf-8", 200), (None, 200), (FORM, 415), ("text/plain", 415)],
)
def test_a_batch_is_json(world, kind, status):
    assert sealed(world, BATCH, batch("chat"), kind=kind).status == status


def test_another_method_is_refused(world):
    answer = world.request("GET", BATCH).answer()
    assert (code_of(answer), answer.headers["allow"]) == ("method_not_allowed", "POST")


def test_a_batch_is_refused_while_draining(world):
    world.server.drain()
    assert code_of(sealed(world, BATCH, batch("chat"))) == "draining"


def test_batches_are_counted(world):
    for _ in range(2):
        sealed(world, BATCH, batch("chat", "news"))
    sealed(world, BATCH, batch("7"))
    assert (world.server.push.accepted, dict(world.server.push.refused)) == (4, {"invalid_identifier": 1})


def test_a_servers_own_clock_is_compared(server):
    with server.stream("identifiers=sealed,batched") as stream:
        stream.joined()
        for path, body in (
            (f"/{API_KEY}/push/sealed", push_json("one")),
            (BATCH, batch("batched", "sealed", text="two")),
        ):
            headers = {"Content-Type": JSON}
            stale = seal(path, body, time.time() - 302, next(nonces))
            assert server.request("POST", path, body, headers=headers | stale).status == 403
            fresh = seal(path, body, time.time(), next(nonces))
            assert server.request("POST", path, body, headers=headers | fresh).status == 200
        assert stream.texts(3) == ["one", "two", "two"]
