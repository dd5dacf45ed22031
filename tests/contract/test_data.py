"""Section 2: a push with `data`, a JSON value instead of a text, or with `event`, a name."""

import json

import pytest

from cometify.core.push import MAX_TEXT
from tests.contract.support import API_KEY, API_SECRET, FORM, OPEN, TRANSPORTS, by_query, code_of, kinds, push_fields
from tests.wire import form, request_bytes, secure

ODD = {"Proxy-Connection": "keep-alive"}
"""A header that keeps a request off the fast path, so that twisted.web reads it."""
JSON = "application/json"
BOUNDARY = "----form"
PATH, BATCH = f"/{API_KEY}/push/chat", f"/{API_KEY}/push"
VALUES = [
    "null",
    "true",
    '""',
    "9007199254740993",
    "1.0",
    "1e400",
    '{"b":1,"a":[]}',
    '"\\u0000\\u00e9"',
    '"é \u2028😀"',
]


def send(world, body, *, path=PATH, kind=JSON, **headers):
    wire = world.connect("127.0.0.1")
    head = {"Content-Type": kind, "Authorization": f"Bearer {API_SECRET}", **headers}
    wire.receive(request_bytes("POST", path, body.encode(), head))
    return wire.answer()


def with_data(text, more=""):
    return f'{{"secret": 0, "data": {text}{more}}}'


def frame(text, position, push_id="null"):
    return f'{{"type":"push","identifier":"chat","push_id":{push_id},"data":{text},"position":{position}}}'.encode()


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("text", VALUES)
def test_value_arrives_as_it_was_sent_live_and_replayed(world, way, text):
    live = world.stream("identifiers=chat")
    answer = send(world, with_data(text), **way)
    sent = frame(text, answer.json["position"])
    world.settle()
    assert sent in live.body()
    assert sent in world.poll("identifiers=chat:0").body()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_transport_carries_data(world, transport):
    send(world, with_data('{ "a" : [ 1, 2 ] }', ',"push_id":7'))
    wire = by_query(world, transport, "identifiers=chat:0")
    (push,) = [sent for sent in wire.frames() if sent["type"] == "push"]
    assert push == {
        "type": "push",
        "identifier": "chat",
        "push_id": 7,
        "data": {"a": [1, 2]},
        "position": push["position"],
    }


@pytest.mark.parametrize("transport", OPEN)
def test_texts_and_data_come_in_their_order(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    wire.frames()
    for body in ('{"text":"a","secret":0}', with_data("1"), '{"text":"b","secret":0}'):
        assert send(world, body).status == 200
    pushes = [sent for sent in wire.frames() if sent["type"] == "push"]
    assert [push.get("text", push.get("data")) for push in pushes] == ["a", 1, "b"]


def test_batch_carries_texts_and_data(world):
    body = f'[{{"identifier":"chat","text":"a","secret":0}}, {{"identifier":"chat","secret":0,"data":{VALUES[5]} }}]'
    answers = send(world, body, path=BATCH).json
    body = world.poll("identifiers=chat:0").body()
    assert b'"text":"a"' in body
    assert frame(VALUES[5], answers[1]["position"]) in body


def test_batch_with_one_bad_value_pushes_nothing(world):
    good, bad = (f'{{"identifier":"chat","secret":0,"data":{data}}}' for data in ("1", '"\\ud800"'))
    answer = send(world, f"[{good},{bad}]", path=BATCH)
    assert code_of(answer) == "invalid_parameter"
    assert answer.json["detail"].startswith("Push 2 of the batch, nothing was pushed: data holds a lone surrogate")
    assert kinds(world.poll("identifiers=chat:0").frames()) == ["ready", "heartbeat"]


def multipart(values):
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{values[name]}\r\n' for name in values
    ]
    return "".join(parts) + f"--{BOUNDARY}--\r\n"


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FORM, "data=1&secret=0"),
        (FORM, "data=%31&secret=0"),
        (FORM, "text=x&data=1&secret=0"),
        (f"multipart/form-data; boundary={BOUNDARY}", multipart({"data": "1", "secret": "0"})),
    ],
)
def test_form_with_data_is_refused(world, way, kind, body):
    answer = send(world, body, kind=kind, **way)
    assert code_of(answer) == "invalid_parameter"
    assert "application/json" in answer.json["detail"]


def test_text_and_data_together_are_refused(world):
    answer = send(world, with_data("1", ',"text":""'))
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "both text and data" in answer.json["detail"]
    assert send(world, with_data("1", ',"text":null')).status == 200


def test_neither_text_nor_data_is_refused(world):
    answer = send(world, '{"secret":0}')
    assert code_of(answer) == "missing_parameter"
    assert "data" in answer.json["detail"]


@pytest.mark.parametrize("more", [{"secure": secure("chat", "")}, {"secure": secure("chat", "1")}, {}])
def test_secure_does_not_cover_data(world, more):
    wire = world.connect()
    body = json.dumps({"secret": 0, "data": 1, **more}).encode()
    wire.receive(request_bytes("POST", PATH, body, {"Content-Type": JSON}))
    answer = wire.answer()
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "HMAC" in answer.json["detail"]
    assert "Bearer" in answer.json["detail"]
    assert kinds(world.poll("identifiers=chat:0").frames()) == ["ready", "heartbeat"]


def test_form_with_secure_and_data_hears_of_json(world):
    answer = push_fields(world, "chat", {"secret": "0", "data": "1", "secure": secure("chat", "")})
    assert "application/json" in answer.json["detail"]


def test_too_long_data_is_refused(world):
    longest = f'"{"x" * (MAX_TEXT - 2)}"'
    assert send(world, with_data(longest)).status == 200
    answer = send(world, with_data(f"[{longest}]"))
    assert (answer.status, code_of(answer)) == (413, "text_too_long")


def test_idempotency_key_covers_data(world):
    key = {"Idempotency-Key": "7c1f2b04"}
    first = send(world, with_data("[1,2]"), **key)
    again = send(world, with_data(" [1, 2]"), **key)
    assert again.json == {**first.json, "duplicate": True}
    for other in (with_data("[1,3]"), '{"secret":0,"text":"[1,2]"}', '{"secret":0,"text":""}'):
        assert send(world, other, **key).status == 409


def test_key_of_a_text_is_not_the_key_of_data(world):
    key = {"Idempotency-Key": "7c1f2b04"}
    assert send(world, form({"text": "1", "secret": "0"}).decode(), kind=FORM, **key).status == 200
    assert send(world, with_data("1"), **key).status == 409


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("kind", "body", "content"),
    [
        (JSON, '{"text":"x","secret":0,"event":"Created"}', '"event":"Created","text":"x"'),
        (JSON, '{"data":[1.0],"secret":0,"event":"Created"}', '"event":"Created","data":[1.0]'),
        (FORM, "text=x&secret=0&event=Created", '"event":"Created","text":"x"'),
        (FORM, "text=x&secret=0&event=%43reated", '"event":"Created","text":"x"'),
    ],
)
def test_event_stands_before_the_text_or_the_data(world, way, kind, body, content):
    live = world.stream("identifiers=chat")
    answer = send(world, body, kind=kind, **way)
    sent = (
        f'{{"type":"push","identifier":"chat","push_id":null,{content},"position":{answer.json["position"]}}}'.encode()
    )
    world.settle()
    assert sent in live.body()
    assert sent in world.poll("identifiers=chat:0").body()


def test_each_push_of_a_batch_has_its_own_event(world):
    body = [{"identifier": "chat", "text": "x", "secret": 0, **more} for more in ({"event": "a"}, {"event": "A"}, {})]
    assert send(world, json.dumps(body), path=BATCH).status == 200
    pushes = [sent for sent in world.poll("identifiers=chat:0").frames() if sent["type"] == "push"]
    assert [push.get("event") for push in pushes] == ["a", "A", None]


def test_idempotency_key_covers_the_event(world):
    key = {"Idempotency-Key": "7c1f2b04"}
    assert send(world, '{"text":"x","secret":0,"event":"a"}', **key).status == 200
    assert send(world, '{"text":"x","secret":0,"event":"a"}', **key).json["duplicate"] is True
    assert send(world, '{"text":"x","secret":0,"event":"A"}', **key).status == 409
    assert send(world, '{"text":"x","secret":0}', **key).status == 409


def test_secure_does_not_cover_the_event(world):
    answer = push_fields(world, "chat", {"text": "x", "secret": "0", "event": "a", "secure": secure("chat", "x")})
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "HMAC" in answer.json["detail"]
