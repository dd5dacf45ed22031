"""Batches that are read in portions, while everybody else is served."""

import json
from itertools import count

import pytest
from twisted.internet.task import Clock

from cometify.transports.batch import LONG, MOST_UNANSWERED
from cometify.transports.batch_turns import BatchTurns
from tests.contract.support import API_KEY, code_of, fields, push_fields, texts
from tests.wire import request_bytes
from tests.wire import seal as signature_headers

BATCH = f"/{API_KEY}/push"
nonces = (f"long-{number:032}" for number in count())
TEXT = "x" * 60_000


def batch(*texts_of_pushes, **more):
    return json.dumps([{"identifier": "chat", "text": text, "secret": 0, **more} for text in texts_of_pushes]).encode()


def request(world, body, *, nonce=None, key="", more=None):
    headers = signature_headers(BATCH, body, world.wall(), nonce or next(nonces), kind="application/json", key=key)
    return request_bytes("POST", BATCH, body, headers | (more or {}))


def send(world, body, **more):
    """A connection whose batch has come and waits for its first turn."""
    wire = world.connect()
    wire.transport.protocol.dataReceived(request(world, body, **more))
    return wire


def answer_to(world, body, **more):
    wire = send(world, body, **more)
    world.settle()
    return wire.answer()


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        (b',{"text":}]', "invalid_body", "valid JSON"),
        (b"] 1", "invalid_body", "valid JSON"),
        (b',{"text":"\xff"}]', "invalid_body", "valid JSON"),
        (b',{"text":"a","text":"b"}]', "repeated_parameter", "twice"),
        (b',{"push_id":NaN}]', "invalid_body", "NaN"),
        (b"," + b"[" * 20_000, "invalid_body", "deeply"),
        (b"," + b"1," * 110 + b"1]", "invalid_body", "The batch has 114 pushes"),
        (b"," + b"[]," * 150_000 + b"1]", "invalid_body", "200000 strings"),
        (b",7]", "invalid_body", "Push 4 of the batch"),
        (b',{"identifier":"chat","secret":0,"text":"\\ud800"}]', "invalid_text", "Push 4 of the batch"),
        (b',{"identifier":"chat","secret":0,"data":"\\ud800"}]', "invalid_parameter", "Push 4 of the batch"),
        (b',{"identifier":"chat","secret":2,"text":"x"}]', "invalid_parameter", "Push 4 of the batch"),
        (b',{"identifier":"chat","secret":0,"text":"%b"}]' % (b"x" * 70_000), "text_too_long", "70000 bytes of UTF-8"),
        (b',{"identifier":"chat","secret":0,"text":"%b"}]' % (b"x" * 700_000), "text_too_long", "more than 524288"),
    ],
)
def test_long_batch_is_refused_like_a_short_one(world, fault, code, detail):
    wire = world.stream("identifiers=chat")
    nonce = next(nonces)
    answers = []
    for text in ("short", TEXT):
        answer = answer_to(world, batch(*[text] * 3)[:-1] + fault, nonce=nonce)
        assert code_of(answer) == code
        assert detail in answer.json["detail"] or len(fault) > 600_000
        answers.append(answer.json["detail"])
    assert answers[0] == answers[1]
    assert texts(wire.frames()) == []
    assert (world.server.push.accepted, world.server.push.under_way) == (0, 0)
    assert answer_to(world, batch(TEXT, "end"), nonce=nonce).status == 200
    assert texts(wire.frames()) == [TEXT, "end"]


@pytest.mark.parametrize("size", [LONG - 1000, LONG + 1000, 20 * LONG])
@pytest.mark.parametrize("form", ["text", "data"])
def test_batches_of_all_lengths_are_pushed_in_order(world, size, form):
    wire = world.stream("identifiers=chat")
    values = [f"{number} " + "ü" * (size // 40) for number in range(10)]
    pushes = [{"identifier": "chat", form: value, "secret": 0} for value in values]
    answer = answer_to(world, json.dumps(pushes, ensure_ascii=False).encode())
    assert answer.status == 200
    positions = [receipt["position"] for receipt in answer.json]
    assert positions == sorted(set(positions))
    frames = [frame for frame in wire.frames() if frame["type"] == "push"]
    assert [frame[form] for frame in frames] == values
    assert [frame["position"] for frame in frames] == positions


def test_repeated_key_of_a_long_batch_pushes_nothing_again(world):
    wire = world.stream("identifiers=chat")
    body = batch(TEXT, "end")
    first, again = [answer_to(world, body, key="order-1") for _ in range(2)]
    assert [receipt["position"] for receipt in again.json] == [receipt["position"] for receipt in first.json]
    assert all(receipt["duplicate"] for receipt in again.json)
    assert len(texts(wire.frames())) == 2
    assert code_of(answer_to(world, batch(TEXT, "another end"), key="order-1")) == "idempotency_mismatch"


def test_short_push_is_answered_while_a_long_batch_is_read(world):
    wire = send(world, batch(*[TEXT] * 100))
    assert push_fields(world, "news", fields("news", "x")).status == 200
    world.settle()
    assert wire.answer().status == 200


def test_requests_behind_a_long_batch_are_answered_after_it(world):
    wire = world.connect()
    wire.transport.protocol.dataReceived(request(world, batch(TEXT, "long")) + request(world, batch("short")))
    world.settle()
    answers = wire.transport.value().split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [len(json.loads(answer.partition(b"\r\n\r\n")[2])) for answer in answers] == [2, 1]


def test_batch_is_pushed_although_its_peer_leaves(world):
    listener = world.stream("identifiers=chat")
    wire = send(world, batch(TEXT, "end"))
    assert world.server.push.under_way == 1
    wire.lose()
    assert texts(listener.frames()) == [TEXT, "end"]
    assert world.server.push.under_way == 0


def test_drain_waits_for_a_batch_that_is_being_read(world):
    wire = send(world, batch(TEXT, "end"))
    world.drain()
    world.advance(1)
    assert wire.answer().status == 200
    assert code_of(answer_to(world, batch(TEXT))) == "draining"


def steps_of(name, number, done):
    for _ in range(number):
        done.append(name)
        yield
    return name


def test_batches_have_portions_by_turns():
    clock, done, results = Clock(), [], []
    turns = BatchTurns(clock.callLater, lambda: float(len(done)))  # each step takes a second, so a portion has one
    for name in "ab":
        turns.take(steps_of(name, 3, done), 1).addCallback(results.append)
    assert done == []
    clock.advance(0)
    assert (done, results) == (list("ababab"), ["a", "b"])


def test_oldest_batch_is_read_at_once_if_too_much_waits():
    clock, done, results = Clock(), [], []
    turns = BatchTurns(clock.callLater, lambda: float(len(done)), most_kept=10)
    for name in "abc":
        turns.take(steps_of(name, 3, done), 5).addCallback(results.append)
    assert (done, results) == (list("aaa"), ["a"])
    clock.advance(0)
    assert (done, results) == (list("aaabcbcbc"), list("abc"))
    turns.take(steps_of("d", 1, done), 10)
    assert done[-1] == "c", "batches that were read no longer count"


def test_fault_of_one_batch_does_not_hold_up_another():
    clock, failures, results = Clock(), [], []

    def fails():
        yield
        raise ValueError

    turns = BatchTurns(clock.callLater, clock.seconds)
    turns.take(fails(), 1).addErrback(lambda failure: failures.append(failure.type))
    turns.take(steps_of("b", 1, []), 1).addCallback(results.append)
    clock.advance(0)
    assert (failures, results) == ([ValueError], ["b"])


@pytest.mark.parametrize(("size", "most"), [(LONG - 1000, 1700), (LONG + 1000, 1600)])
def test_batches_of_those_who_left_are_bounded(world, size, most):
    body = batch("x").ljust(size)
    wires = [send(world, body) for _ in range(most)]
    for wire in wires:
        wire.transport.lose()
    push = world.server.push
    is_kept = size > LONG or world.redis is not None  # in memory a short batch is answered at once
    assert (push.refused["overloaded"] > 0) == is_kept
    assert push.under_way * size <= MOST_UNANSWERED / 2 + size
    assert push.accepted + push.under_way + push.refused["overloaded"] == most
    if is_kept:
        answer = send(world, body).answer()
        assert (answer.status, code_of(answer), answer.headers["retry-after"]) == (503, "overloaded", "1")
        assert "nothing was pushed" in answer.json["detail"]
    world.settle()
    assert push.under_way == 0
    assert answer_to(world, body).status == 200
