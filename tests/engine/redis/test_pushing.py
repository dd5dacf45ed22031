"""Pushes that are refused because Redis is away or has too much to do, as a publisher sees it."""

import json
from itertools import count

from cometify.engine.redis.connection import MOST_IN_FLIGHT
from tests.contract.support import code_of
from tests.memory import Wire, World
from tests.wire import API_KEY, Answer, form, request_bytes, seal, secure

BATCH = 100
nonces = (f"test-pushing-{number:06}" for number in count())
PUSH = {"text": "x", "secret": "0", "secure": secure("chat", "x")}


def push_request(**headers: str) -> bytes:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return request_bytes("POST", f"/{API_KEY}/push/chat", form(PUSH), kind | headers)


def send_without_redis(world: World, *requests: bytes) -> Wire:
    """Send requests on one connection. Redis gets the commands, and its answers are not read yet."""
    wire = world.connect()
    wire.transport.protocol.dataReceived(b"".join(requests))
    return wire


def send_batch(world: World, *, key: str) -> Wire:
    path = f"/{API_KEY}/push"
    body = json.dumps([{"identifier": "chat", "text": "x", "secret": 0}] * BATCH).encode()
    headers = seal(path, body, world.wall(), next(nonces), key=key)
    return send_without_redis(world, request_bytes("POST", path, body, headers))


def answers(wire: Wire) -> list[Answer]:
    """The answers that have come on a connection."""
    data = wire.transport.value()
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers["content-length"])
        found.append(Answer(int(lines[0].split()[1]), headers, data[:length]))
        data = data[length:]
    return found


def test_push_without_connection_says_nothing_was_pushed(nodes):
    first, _second = nodes
    nodes.cut(first)
    answer = first.push("chat", "x")
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "nothing was pushed" in answer.json["detail"]
    assert "may have been pushed" not in answer.json["detail"]


def test_push_cut_in_flight_says_it_may_have_been_pushed(nodes):
    first, _second = nodes
    wire = send_without_redis(first, push_request())
    nodes.cut(first)
    answer = wire.answer()
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "may have been pushed" in answer.json["detail"]
    assert "nothing was pushed" not in answer.json["detail"]


def test_pipelined_push_behind_a_cut_says_nothing_was_pushed(nodes):
    """The second request is read while the first one fails. Its connection to Redis is closed by then."""
    first, second = nodes
    wire = send_without_redis(first, push_request(), push_request())
    nodes.cut(first)
    cut, unsent = answers(wire)
    assert [cut.status, unsent.status] == [503, 503]
    assert "may have been pushed" in cut.json["detail"]
    assert "nothing was pushed" in unsent.json["detail"]
    assert len(second.stream("identifiers=chat:0").frames()) == 1 + 1 + 1  # ready, the first push, heartbeat


def test_batch_cut_behind_its_first_push_says_a_part_was_pushed(nodes):
    first, _second = nodes
    batch = send_batch(first, key="key")
    first.reactor.pump()
    nodes.cut(first)
    answer = batch.answer()
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "a part of the batch was pushed" in answer.json["detail"]


def test_pushes_in_flight_are_bounded_for_single_and_batch(nodes):
    """The first push of each batch goes alone. Then the others are more than may be in flight."""
    first, _second = nodes
    batches = [send_batch(first, key=f"key-{number}") for number in range(MOST_IN_FLIGHT // (BATCH - 1) + 1)]
    pushes = first.server.engine._session.pushes
    first.reactor.pump()  # the answers to the first pushes; the others are sent and not answered
    assert len(pushes) == MOST_IN_FLIGHT
    single = send_without_redis(first, push_request()).answer()
    assert (single.status, code_of(single)) == (503, "overloaded")
    assert "nothing was pushed" in single.json["detail"]
    assert int(single.headers["retry-after"]) >= 1
    first.settle()
    *whole, cut = [wire.answer() for wire in batches]
    assert {answer.status for answer in whole} == {200}
    assert (cut.status, code_of(cut)) == (503, "engine_unavailable")
    assert "a part of the batch was pushed" in cut.json["detail"]
    # Sent again with the same key, each push of it is there once.
    again = send_batch(first, key=f"key-{len(batches) - 1}")
    first.settle()
    pushed = again.answer().json
    assert len(pushed) == BATCH
    assert {True, False} == {push.get("duplicate", False) for push in pushed}
    assert first.push("chat", "x").status == 200
