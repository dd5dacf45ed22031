"""Section 2: pushes signed with HMAC, and batches of them. The tests move the wall clock that timestamps are compared with."""

import json
import time
from itertools import count

import pytest

from cometify.core.account import Account
from cometify.transports.batch import UNPROVEN_BODY
from tests.contract.support import API_KEY, API_SECRET, FORM, code_of, fields, form, positions, push_fields, texts
from tests.memory import World
from tests.wire import request_bytes, secure
from tests.wire import seal as signature_headers

ODD = {"Proxy-Connection": "keep-alive"}
"""A header that keeps a request off the fast path, so that twisted.web reads it."""
PATH = f"/{API_KEY}/push/chat"
BATCH = f"/{API_KEY}/push"
JSON = "application/json"
nonces = (f"nonce-{number:032}" for number in count())


def send_signed(world, path, body, *, target=None, kind=JSON, key="", off=0, nonce=None, secret=API_SECRET, more=None):
    """Sign and send a request.

    `target`: the target to send, if it differs from the signed `path`. `more`: further headers, which are not signed;
    None leaves one out.
    """
    signed = signature_headers(path, body, world.wall() + off, nonce or next(nonces), secret, kind or "", key)
    headers = signed | (more or {})
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
def test_signed_push_needs_no_secure(world, way, kind, body):
    wire = world.stream("identifiers=chat")
    answer = send_signed(world, PATH, body, kind=kind, more=way)
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
def test_path_is_signed_as_sent_without_the_query(world, way, path, target):
    body = batch("chat") if path == BATCH else push_json()
    assert send_signed(world, path, body, target=target, more=way).status == 200
    assert code_of(send_signed(world, path, body, target=path.replace("push", "pus%68"), more=way)) == "not_authorized"


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
def test_wrong_signature_is_refused_and_pushes_nothing(world, way, changes, code):
    wire = world.stream("identifiers=chat")
    for path, body in ((PATH, push_json()), (BATCH, batch("chat"))):
        more = way | changes.get("more", {})
        assert code_of(send_signed(world, path, body, **(changes | {"more": more}))) == code
        assert texts(wire.frames()) == []


def test_right_secure_does_not_make_up_for_a_wrong_signature(world):
    body = form(fields("chat", "Hello"))
    assert code_of(send_signed(world, PATH, body, kind=FORM, more={"Cometify-Signature": "0" * 64})) == "not_authorized"


def test_repeated_header_is_refused(world):
    body = push_json()
    for name, value in signature_headers(PATH, body, world.wall(), next(nonces)).items():
        headers = signature_headers(PATH, body, world.wall(), next(nonces)) | {name + " ": value}
        wire = world.connect()
        wire.receive(request_bytes("POST", PATH, body, headers).replace(name.encode() + b" :", name.encode() + b":"))
        assert code_of(wire.answer()) == "repeated_parameter"


def test_unknown_key_and_wrong_signature_get_the_same_answer(world):
    body = push_json()
    unknown = send_signed(world, "/unknown/push/chat", body)
    wrong = send_signed(world, PATH, body, secret="another")
    assert (unknown.status, unknown.body) == (wrong.status, wrong.body)


def test_signature_is_checked_before_the_body_is_parsed(world):
    assert code_of(send_signed(world, PATH, b"\xff", secret="another")) == "not_authorized"
    assert code_of(send_signed(world, PATH, b"\xff")) == "invalid_body"


def test_every_parameter_is_signed(world):
    body = push_json("Hello", push_id=7)
    headers = signature_headers(PATH, body, world.wall(), next(nonces), kind=JSON)
    for changed in (body.replace(b'"secret": 0', b'"secret": 1'), body.replace(b"7", b"8"), body + b" "):
        assert changed != body
        wire = world.connect()
        wire.receive(request_bytes("POST", PATH, changed, headers))
        assert code_of(wire.answer()) == "not_authorized"


# What a request means.


def listener(world):
    """A listener without a key, which no secret push may reach."""
    wire = world.stream("identifiers=chat")
    wire.frames()
    return wire


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=b", "", JSON + "; charset=utf-8", "text/plain"])
def test_exchanged_content_type_is_refused(world, way, kind):
    wire = listener(world)
    body = json.dumps({"text": "hello&text=FORGED&secret=0&x=", "secret": 1}).encode()
    headers = signature_headers(PATH, body, world.wall(), next(nonces), kind=JSON) | way
    assert code_of(send(world, PATH, body, headers | {"Content-Type": kind})) == "not_authorized"
    without = {name: value for name, value in headers.items() if name != "Content-Type"}
    assert code_of(send(world, PATH, body, without)) == "not_authorized"
    assert send(world, PATH, body, headers).status == 200
    assert texts(wire.frames()) == []


def multipart(boundary, **parts):
    return "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    ) + (f"--{boundary}--\r\n")


def test_exchanged_multipart_boundary_is_refused(world):
    wire = listener(world)
    body = multipart("outer", text=multipart("inner", text="FORGED", secret="0"), secret="1").encode()
    headers = signature_headers(PATH, body, world.wall(), next(nonces), kind="multipart/form-data; boundary=outer")
    forged = headers | {"Content-Type": "multipart/form-data; boundary=inner"}
    assert code_of(send(world, PATH, body, forged)) == "not_authorized"
    assert send(world, PATH, body, headers).status == 200
    assert texts(wire.frames()) == []


@pytest.mark.parametrize("way", [{}, ODD])
def test_added_idempotency_key_is_refused(world, way):
    wire = listener(world)
    for path, body in ((PATH, push_json("same")), (BATCH, batch("chat", text="same"))):
        for _ in range(2):
            headers = signature_headers(path, body, world.wall(), next(nonces), kind=JSON) | way
            assert code_of(send(world, path, body, headers | {"Idempotency-Key": "added"})) == "not_authorized"
            answer = send(world, path, body, headers).json
            assert "duplicate" not in (answer[0] if path == BATCH else answer)
    assert texts(wire.frames()) == ["same"] * 4


@pytest.mark.parametrize("sent", [None, "another"])
def test_removed_or_exchanged_idempotency_key_is_refused(world, sent):
    wire = listener(world)
    assert (
        code_of(send_signed(world, PATH, push_json(), key="signed", more={"Idempotency-Key": sent})) == "not_authorized"
    )
    assert texts(wire.frames()) == []


@pytest.mark.parametrize("name", ["Content-Type", "Idempotency-Key"])
def test_second_header_beside_a_signed_one_is_refused(world, name):
    wire = listener(world)
    body = push_json()
    headers = signature_headers(PATH, body, world.wall(), next(nonces), kind=JSON, key="key")
    for other in (FORM, headers[name]):
        request = request_bytes("POST", PATH, body, {name + " ": other, **headers, name.lower() + " ": other})
        sent = world.connect()
        sent.receive(request.replace(b" : ", b": "))
        assert code_of(sent.answer()) == "repeated_parameter"
    assert texts(wire.frames()) == []


def test_line_break_in_a_header_moves_no_signed_line(world):
    wire = listener(world)
    body = push_json()
    headers = signature_headers(PATH, body, world.wall(), next(nonces), kind=f"{JSON}\nkey")
    for kind in (f"{JSON}\nkey", f"{JSON}\r\n key"):
        more = {"Content-Type": kind, "Idempotency-Key": ""}
        sent = world.connect()
        sent.receive(request_bytes("POST", PATH, body, headers | more))
        assert sent.head[0] in (400, 403)
    assert texts(wire.frames()) == []


@pytest.mark.parametrize(
    "more",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Language": "de"},
        {"Content-Range": "bytes 0-1/2"},
        {"X-HTTP-Method-Override": "GET"},
        {"Host": "elsewhere.example"},
    ],
)
def test_unsigned_header_changes_nothing(world, more):
    wire = listener(world)
    assert (
        send_signed(world, PATH, push_json(), target=PATH + "?text=FORGED&secret=1&identifier=other", more=more).json[
            "identifier"
        ]
        == "chat"
    )
    assert texts(wire.frames()) == ["Hello"]


@pytest.mark.parametrize(("sent", "status"), [(push_json(), 200), (push_json("FORGED"), 403)])
def test_signature_covers_the_body_without_its_chunks(world, sent, status):
    wire = listener(world)
    headers = signature_headers(PATH, push_json(), world.wall(), next(nonces), kind=JSON)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in sent)
    trailer = b"0\r\nContent-Type: " + FORM.encode() + b"\r\n\r\n"
    request = world.connect()
    request.receive(request_bytes("POST", PATH, None, headers | {"Transfer-Encoding": "chunked"}) + chunks + trailer)
    assert request.answer().status == status
    assert texts(wire.frames()) == (["Hello"] if status == 200 else [])


def test_request_without_its_signature_pushes_nothing(world):
    wire = listener(world)
    body = push_json(secure=secure("chat", "other"))
    for path, sent, code in (
        (PATH, push_json(), "missing_parameter"),
        (PATH, body, "not_authorized"),
        (BATCH, batch("chat"), "missing_parameter"),
    ):
        assert code_of(send_signed(world, path, sent, more={"Cometify-Signature": None})) == code
    assert texts(wire.frames()) == []


def test_refusal_of_a_signature_names_the_signed_lines(world):
    detail = send_signed(world, PATH, push_json(), secret="another").json["detail"]
    for line in ("v2", "METHOD", "path", "timestamp", "nonce", "contentType", "idempotencyKey", "sha256hex(body)"):
        assert line in detail


def test_hmac_is_not_subject_to_the_boundary_trap(world):
    assert secure("room1", "10") == secure("room11", "0")
    for name, text in (("room1", "10"), ("room11", "0")):
        assert send_signed(world, f"/{API_KEY}/push/{name}", push_json(text)).status == 200


# Nonces.


def test_nonce_is_accepted_once(world):
    wire = world.stream("identifiers=chat,metrics")
    nonce = next(nonces)
    assert send_signed(world, PATH, push_json("one"), nonce=nonce).status == 200
    other = f"/{API_KEY}/push/metrics"
    for path, body in ((PATH, push_json("one")), (other, push_json("two")), (BATCH, batch("chat", "metrics"))):
        assert code_of(send_signed(world, path, body, nonce=nonce)) == "nonce_reused"
    assert texts(wire.frames()) == ["one"]


def test_request_cannot_be_replayed_within_its_time(world):
    nonce, body = next(nonces), push_json()
    headers = signature_headers(PATH, body, world.wall() + 300, nonce, kind=JSON)

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
    assert send_signed(world, PATH, body, nonce=nonce).status == 200


def test_refused_request_does_not_use_its_nonce(world):
    nonce = next(nonces)
    assert code_of(send_signed(world, PATH, push_json("\0"), nonce=nonce)) == "invalid_text"
    assert code_of(send_signed(world, PATH, push_json(), nonce=nonce, secret="another")) == "not_authorized"
    assert send_signed(world, PATH, push_json(), nonce=nonce).status == 200


def test_nonces_are_remembered_for_each_account():
    world = World(Account(API_KEY, (API_SECRET,)), Account("other", (API_SECRET,)))
    nonce = next(nonces)
    for key in (API_KEY, "other"):
        assert send_signed(world, f"/{key}/push/chat", push_json(), nonce=nonce).status == 200


def test_account_can_demand_hmac():
    world = World(Account(API_KEY, (API_SECRET,), signatures="v2"))
    assert code_of(push_fields(world, "chat", fields("chat", "Hello"))) == "not_authorized"
    assert send_signed(world, PATH, push_json()).status == 200
    assert code_of(push_fields(World(), "chat", fields("chat", "Hello", secure="0" * 32))) == "not_authorized"


def test_both_live_secrets_sign_requests():
    world = World(Account(API_KEY, ("new", "old")))
    assert [send_signed(world, PATH, push_json(), secret=secret).status for secret in ("new", "old", "older")] == [
        200,
        200,
        403,
    ]


# With an Idempotency-Key.


def test_request_with_a_key_can_be_repeated_as_it_was(world):
    wire = world.stream("identifiers=chat,news")
    for path, body in ((PATH, push_json("one")), (BATCH, batch("chat", "news"))):
        headers = signature_headers(path, body, world.wall(), next(nonces), kind=JSON, key="key of " + path)
        first, again = (send(world, path, body, headers).json for _ in range(2))
        told = again if path == BATCH else [again]
        assert [answer.pop("duplicate") for answer in told] == [True] * len(told)
        assert again == first
    assert texts(wire.frames()) == ["one", "to chat", "to news"]


def test_key_is_checked_after_the_signature(world):
    assert send_signed(world, PATH, push_json("one"), key="key").status == 200
    assert code_of(send_signed(world, PATH, push_json("one"), key="key", secret="another")) == "not_authorized"
    assert code_of(send_signed(world, PATH, push_json("two"), key="key")) == "idempotency_mismatch"
    assert send_signed(world, PATH, push_json("one"), key="key").json["duplicate"]


def test_key_of_a_batch_is_for_that_batch_alone(world):
    wire = world.stream("identifiers=a,b,c,d")
    assert send_signed(world, BATCH, batch("a", "b"), key="key").status == 200
    for other in (batch("a", "b", "c"), batch("a"), batch("b", "a"), batch("a", "b", text="other")):
        assert code_of(send_signed(world, BATCH, other, key="key")) == "idempotency_mismatch"
    again = send_signed(world, BATCH, batch("a", "b"), key="key").json
    assert [answer["duplicate"] for answer in again] == [True, True]
    assert texts(wire.frames()) == ["to a", "to b"]


@pytest.mark.parametrize("single_first", [True, False])
def test_single_push_and_batch_have_no_key_in_common(world, single_first):
    wire = world.stream("identifiers=a,b")
    single, whole = (f"/{API_KEY}/push/a", push_json("to a")), (BATCH, batch("a"))
    first, second = (single, whole) if single_first else (whole, single)
    assert send_signed(world, *first, key="key").status == 200
    assert code_of(send_signed(world, *second, key="key")) == "idempotency_mismatch"
    assert code_of(send_signed(world, BATCH, batch("a", "b"), key="key")) == "idempotency_mismatch"
    assert send_signed(world, *first, key="key").status == 200
    assert texts(wire.frames()) == ["to a"]


def test_key_of_a_similar_batch_does_not_bypass_the_nonce(world):
    wire = world.stream("identifiers=a,pay")
    assert send_signed(world, BATCH, batch("a"), key="key").status == 200
    nonce = next(nonces)
    assert send_signed(world, BATCH, batch("a", "pay"), nonce=nonce).status == 200
    assert code_of(send_signed(world, BATCH, batch("a", "pay"), nonce=nonce)) == "nonce_reused"
    assert code_of(send_signed(world, BATCH, batch("a", "pay"), nonce=nonce, key="key")) == "idempotency_mismatch"
    assert texts(wire.frames()) == ["to a", "to a", "to pay"]


# A batch.


@pytest.mark.parametrize("way", [{}, ODD])
def test_batch_is_pushed_in_order_with_one_answer(world, way):
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
    answer = send_signed(world, BATCH, body, more=way)
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
    assert len(send_signed(world, BATCH, body).json) == 100
    assert code_of(send_signed(world, BATCH, batch(*["chat"] * 101))) == "invalid_body"


def test_push_does_not_wait_for_long_batches_to_end(world):
    body = batch(*[f"name{number}" for number in range(100)], text="x" * 65_536)
    long_ones = [world.connect() for _ in range(3)]
    for wire in long_ones:
        headers = signature_headers(BATCH, body, world.wall(), next(nonces))
        wire.transport.protocol.dataReceived(request_bytes("POST", BATCH, body, headers))
    prompt = world.push("chat", "x").json["position"]
    world.settle()
    ends = [json.loads(wire.transport.value().partition(b"\r\n\r\n")[2])[-1]["position"] for wire in long_ones]
    assert prompt < min(ends)


def test_empty_batch_pushes_nothing(world):
    assert send_signed(world, BATCH, b"[]").json == []


def test_batch_of_more_than_8_mib_is_too_large(world):
    body = b"[" + b" " * (8 * 2**20 - 2) + b"]"
    assert send_signed(world, BATCH, body).status == 200
    wire = world.connect()
    headers = signed_head(world) | {"Content-Length": str(8 * 2**20 + 1)}
    wire.receive(request_bytes("POST", BATCH, None, headers))
    assert code_of(wire.answer()) == "body_too_large"


WHOLE = batch("chat", text="x" * 60_000) + b" " * 8_000_000
"""A batch near the most, for which no request may be more than 64 KiB without a reason."""


def signed_head(world, *, key=API_KEY, **changes):
    """The headers of a batch that may be signed, as far as anybody can tell before its body is there."""
    headers = signature_headers(f"/{key}/push", b"", world.wall(), next(nonces)) | {"Content-Type": JSON} | changes
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize("framing", ["counted", "chunked"])
@pytest.mark.parametrize(
    ("key", "changes", "code"),
    [
        (API_KEY, {"Cometify-Signature": None}, "missing_parameter"),
        (API_KEY, {"Cometify-Timestamp": "1764000000"}, "not_authorized"),
        ("unknown", {"Cometify-Timestamp": "1764000000"}, "not_authorized"),
        (API_KEY, {"Cometify-Timestamp": "now"}, "invalid_parameter"),
        (API_KEY, {"Cometify-Nonce": "short"}, "invalid_parameter"),
        ("unknown", {}, "not_authorized"),
    ],
)
def test_long_batch_that_cannot_be_genuine_is_refused_unread(world, key, changes, code, framing):
    wire = world.connect()
    headers = signed_head(world, key=key, **changes)
    if framing == "counted":
        head = request_bytes("POST", f"/{key}/push", None, headers | {"Content-Length": str(UNPROVEN_BODY + 1)})
        wire.receive(head)
    else:
        wire.receive(request_bytes("POST", f"/{key}/push", None, headers | {"Transfer-Encoding": "chunked"}))
        wire.receive(b"%x\r\n%b\r\n" % (UNPROVEN_BODY, b" " * UNPROVEN_BODY))
        assert not wire.answered
        wire.receive(b"1\r\n \r\n")
    answer = wire.answer()
    assert code_of(answer) == code
    assert answer.headers["connection"] == "close"
    assert world.server.push.refused[code] == 1


def test_unknown_key_and_wrong_signature_of_a_long_batch_get_one_answer(world):
    wrong = send(world, BATCH, WHOLE, signed_head(world))
    unknown = send(world, "/unknown/push", WHOLE, signed_head(world, key="unknown"))
    assert (wrong.status, wrong.body) == (unknown.status, unknown.body)


@pytest.mark.parametrize("off", [-3600, 3600])
def test_wrong_time_of_a_long_batch_is_told_to_known_and_unknown_keys(world, off):
    answers = [
        send(
            world,
            f"/{key}/push",
            WHOLE,
            signed_head(world, key=key) | {"Cometify-Timestamp": f"{world.wall() + off:.0f}"},
        )
        for key in (API_KEY, "unknown")
    ]
    assert answers[0].body == answers[1].body
    assert "3600 seconds" in answers[0].json["detail"]


def test_long_body_of_another_method_is_refused_unread(world):
    wire = world.connect()
    wire.receive(request_bytes("PUT", BATCH, None, signed_head(world) | {"Content-Length": str(UNPROVEN_BODY + 1)}))
    answer = wire.answer()
    assert (code_of(answer), answer.headers["allow"]) == ("method_not_allowed", "POST")


def test_long_batch_that_is_signed_is_taken(world):
    assert len(send_signed(world, BATCH, WHOLE).json) == 1


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
def test_whole_batch_is_checked_before_any_push(world, wrong, code):
    wire = world.stream("identifiers=chat")
    nonce = next(nonces)
    good = json.loads(batch("chat", "chat", "chat"))
    answer = send_signed(world, BATCH, json.dumps([*good[:2], good[2] | wrong]).encode(), nonce=nonce)
    assert code_of(answer) == code
    assert "Push 3 of the batch" in answer.json["detail"]
    assert texts(wire.frames()) == []
    assert world.server.push.accepted == 0
    assert send_signed(world, BATCH, json.dumps(good).encode(), nonce=nonce).status == 200
    assert len(texts(wire.frames())) == 3


def test_batch_must_be_signed_with_hmac(world):
    answer = world.request("POST", BATCH, batch("chat"), Content_Type=JSON).answer()
    assert code_of(answer) == "missing_parameter"
    assert "Cometify-Timestamp" in answer.json["detail"]


@pytest.mark.parametrize(
    ("kind", "status"),
    [(JSON, 200), ("Application/JSON; charset=utf-8", 200), (None, 200), (FORM, 415), ("text/plain", 415)],
)
def test_batch_is_json(world, kind, status):
    assert send_signed(world, BATCH, batch("chat"), kind=kind).status == status


def test_other_methods_are_refused(world):
    answer = world.request("GET", BATCH).answer()
    assert (code_of(answer), answer.headers["allow"]) == ("method_not_allowed", "POST")


def test_batch_is_refused_at_the_end_of_a_drain(world):
    world.drain()
    world.advance(1)
    assert code_of(send_signed(world, BATCH, batch("chat"))) == "draining"


def test_pushes_of_batches_are_counted(world):
    for _ in range(2):
        send_signed(world, BATCH, batch("chat", "news"))
    send_signed(world, BATCH, batch("7"))
    assert (world.server.push.accepted, dict(world.server.push.refused)) == (4, {"invalid_identifier": 1})


def test_timestamp_is_compared_with_the_real_clock(server):
    with server.stream("identifiers=sealed,batched") as stream:
        stream.joined()
        for path, body in (
            (f"/{API_KEY}/push/sealed", push_json("one")),
            (BATCH, batch("batched", "sealed", text="two")),
        ):
            stale = signature_headers(path, body, time.time() - 302, next(nonces), kind=JSON)
            assert server.request("POST", path, body, headers=stale).status == 403
            fresh = signature_headers(path, body, time.time(), next(nonces), kind=JSON)
            assert server.request("POST", path, body, headers=fresh).status == 200
        assert stream.texts(3) == ["one", "two", "two"]
