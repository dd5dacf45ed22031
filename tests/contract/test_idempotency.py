"""Section 2: a push with an Idempotency-Key is pushed once, however often it is sent."""

import json

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, FORM, code_of, fields, texts
from tests.memory import World
from tests.wire import Answer, form, request_bytes, secure

MINUTE = 60
KEY = "7c1f2b04"


def push(world: World, identifier="chat", text="x", key: str | bytes | None = KEY, account=API_KEY, version="HTTP/1.1",
         path: str | None = None, more: tuple[bytes, ...] = (), **changes: str) -> Answer:  # fmt: skip
    """Push with an Idempotency-Key, of any bytes. `more`: further header lines."""
    values = {"text": text, "secret": "0", "secure": secure(identifier, text, account), "identifier": identifier}
    request = request_bytes(
        "POST", f"/{account}/push/{path or identifier}", form({**values, **changes}), {"Content-Type": FORM}, version
    )
    if key is not None:
        raw = key if isinstance(key, bytes) else key.encode()
        more = (b"Idempotency-Key: " + raw, *more)
    head, _, body = request.partition(b"\r\n\r\n")
    wire = world.connect()
    wire.receive(b"\r\n".join([head, *more, b"", body]))
    return wire.answer()


def listener(world: World, query: str = "identifiers=chat"):
    wire = world.websocket(query)
    wire.frames()
    return wire


def test_same_key_repeats_the_first_answer_and_pushes_nothing(world):
    wire = listener(world)
    first = push(world, push_id="7")
    assert first.status == 200
    assert "duplicate" not in first.json
    world.advance(5)
    for _ in range(3):
        again = push(world, push_id="7")
        assert again.status == 200
        assert again.json == {**first.json, "duplicate": True}
        assert again.headers["content-type"] == "application/json"
    assert texts(wire.frames()) == ["x"]
    assert texts(world.poll("identifiers=chat:0").frames()) == ["x"]


def test_listeners_is_the_count_of_the_first_push(world):
    listener(world)
    assert push(world).json["listeners"] == 1
    listener(world)
    assert push(world).json["listeners"] == 1
    assert push(world, key="another").json["listeners"] == 2


def test_listeners_are_counted_as_without_a_key(world):
    listener(world, "identifiers=chat:5")
    listener(world)
    assert [push(world, key=key, push_id="5").json["listeners"] for key in (None, "one")] == [1, 1]
    assert [push(world, key=key, push_id="6").json["listeners"] for key in (None, "two")] == [2, 2]
    assert [push(world, key=key, secret="1").json["listeners"] for key in (None, "three")] == [0, 0]


def test_another_key_or_none_pushes_again(world):
    wire = listener(world)
    for key in ("one", "two", "One", None, None):
        assert push(world, key=key).json.get("duplicate") is None
    assert texts(wire.frames()) == ["x"] * 5


@pytest.mark.parametrize(
    "changes",
    [
        {"identifier": "chats"},
        {"text": "X"},
        {"text": ""},
        {"secret": "1"},
        {"push_id": "8"},
        {"push_id": "07", "text": "y"},
    ],
)
def test_same_key_with_another_push_is_refused(world, changes):
    wire = listener(world, "identifiers=chat,chats")
    assert push(world, push_id="7").status == 200
    answer = push(world, **{"push_id": "7", **changes})
    assert (answer.status, code_of(answer)) == (409, "idempotency_mismatch")
    assert "idempotency-key" in answer.json["detail"].lower()
    assert texts(wire.frames()) == ["x"]
    assert push(world, push_id="7").json["duplicate"] is True, "what was refused has changed nothing"


def test_push_without_push_id_differs_from_push_id_0(world):
    assert push(world).status == 200
    assert code_of(push(world, push_id="0")) == "idempotency_mismatch"


def test_identifiers_are_compared_without_case(world):
    first = push(world, "Chat")
    assert push(world, "cHAT", path="CHAT").json == {**first.json, "duplicate": True}


def test_same_push_in_another_body_is_the_same_push(world):
    first = push(world, push_id="7")
    body = json.dumps({**fields("chat", "x"), "push_id": 7, "secret": 0}).encode()
    wire = world.request(
        "POST", f"/{API_KEY}/push/chat", body, Content_Type="application/json", Idempotency_Key=KEY
    )  # fmt: skip
    assert wire.answer().json == {**first.json, "duplicate": True}


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_key_works_on_the_fast_path_and_in_twisted_web(world, version):
    assert "duplicate" not in push(world, key=version, version=version).json
    assert push(world, key=version, version=version).json["duplicate"] is True


def test_signature_is_checked_before_the_key(world):
    wrong = secure("chat", "something else")
    assert code_of(push(world, secure=wrong)) == "not_authorized"
    assert "duplicate" not in push(world).json, "who may not push remembers no key"
    assert code_of(push(world, secure=wrong)) == "not_authorized"
    assert code_of(push(world, text="y", secure=wrong)) == "not_authorized"
    assert code_of(push(world, key="", secure=wrong)) == "not_authorized"


def test_key_is_checked_before_the_signature_memory(world):
    assert push(world, "room1", "10").status == 200
    assert push(world, "room1", "10").json["duplicate"] is True
    assert code_of(push(world, "room11", "0")) == "idempotency_mismatch"
    assert code_of(push(world, "room11", "0", key="another")) == "signature_reused"


def test_refused_push_does_not_use_its_key(world):
    assert push(world, "room1", "10", key="first").status == 200
    for _ in range(2):
        assert code_of(push(world, "room11", "0")) == "signature_reused"
    assert "duplicate" not in push(world, "Room11", "0").json


def test_key_is_remembered_for_ten_minutes(world):
    wire = listener(world)
    first = push(world)
    world.advance(10 * MINUTE - 1, step=20)
    assert push(world).json == {**first.json, "duplicate": True}
    assert code_of(push(world, text="y")) == "idempotency_mismatch"
    world.advance(1)
    again = push(world, text="y")
    assert again.json["position"] in (world.clock(), world.clock() + 1)
    assert "duplicate" not in again.json
    assert texts(wire.frames()) == ["x", "y"]


def test_repeating_a_push_does_not_extend_the_ten_minutes(world):
    push(world)
    world.advance(6 * MINUTE, step=20)
    assert push(world).json["duplicate"] is True
    world.advance(4 * MINUTE, step=20)
    assert "duplicate" not in push(world).json


@pytest.mark.parametrize("key", ["k", "~" * 128, "a b", '"quoted"', "{hash}:*?[tag]", "7", "007"])
def test_key_is_1_to_128_printable_characters(world, key):
    assert "duplicate" not in push(world, key=key).json
    assert push(world, key=key).json["duplicate"] is True
    assert "duplicate" not in push(world, key=key[:-1] + "-").json


@pytest.mark.parametrize("key", [b"", b"k" * 129, "é".encode(), b"\xe9", b"a\tb", b"\x7f", b"a\x01b"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_any_other_key_is_refused_and_pushes_nothing(world, key, version):
    wire = listener(world)
    answer = push(world, key=key, version=version)
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "idempotency-key" in answer.json["detail"].lower()
    assert texts(wire.frames()) == []


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("second", [KEY, "another"])
def test_key_given_twice_is_refused(world, second, version):
    answer = push(world, more=(f"idempotency-key: {second}".encode(),), version=version)
    assert (answer.status, code_of(answer)) == (400, "repeated_parameter")
    assert "idempotency-key" in answer.json["detail"].lower()


def test_keys_are_remembered_for_each_account():
    world = World(Account("1", (API_SECRET,)), Account("2", (API_SECRET,)))
    for account in ("1", "2"):
        assert "duplicate" not in push(world, text=account, account=account).json
    for account in ("1", "2"):
        assert push(world, text=account, account=account).json["duplicate"] is True


def test_repeated_push_is_counted_once(world):
    for _ in range(3):
        push(world)
    push(world, text="y")
    body = world.admin("GET", "/metrics").body.decode()
    assert "\ncometify_pushes_accepted_total 1.0\n" in body
    assert '\ncometify_pushes_refused_total{code="idempotency_mismatch"} 1.0\n' in body
