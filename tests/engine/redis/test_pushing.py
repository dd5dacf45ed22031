"""Pushes that are refused because Redis is away or has too much to do, as a publisher sees it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from cometify.engine.redis.connection import MOST_IN_FLIGHT
from cometify.engine.redis.push_queue import MOST_SCRIPTS, MOST_TOGETHER
from cometify.engine.redis.pushes import LONGEST_WAIT
from tests.contract.support import code_of, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import Wire, World
from tests.redis import RedisConnection
from tests.wire import API_KEY, Answer, eventually, form, request_bytes, seal, secure

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


def test_pushes_in_flight_are_bounded_for_single_and_batch(nodes, monkeypatch):
    """The first push of each batch goes alone. Then the others are more than may be in flight."""
    first, _second = nodes
    in_flight = MOST_IN_FLIGHT // 4
    monkeypatch.setattr("cometify.engine.redis.pushes.MOST_IN_FLIGHT", in_flight)
    whole = in_flight // (BATCH - 1)
    # The first one goes at once, and then full scripts go.
    batches = [send_batch(first, key=f"key-{number}") for number in range(1 + (MOST_SCRIPTS - 1) * MOST_TOGETHER)]
    first.reactor.pump()  # the answers to the first pushes; the others are sent and not answered
    single = send_without_redis(first, push_request()).answer()
    assert (single.status, code_of(single)) == (503, "overloaded")
    assert "nothing was pushed" in single.json["detail"]
    assert int(single.headers["retry-after"]) >= 1
    first.settle()
    answered = [wire.answer() for wire in batches]
    assert {answer.status for answer in answered[:whole]} == {200}
    assert {answer.status for answer in answered[whole:]} == {503}
    cut = answered[whole]
    assert (cut.status, code_of(cut)) == (503, "engine_unavailable")
    assert "a part of the batch was pushed" in cut.json["detail"]
    # Sent again with the same key, each push of it is there once.
    again = send_batch(first, key=f"key-{whole}")
    first.settle()
    pushed = again.answer().json
    assert len(pushed) == BATCH
    assert {True, False} == {push.get("duplicate", False) for push in pushed}
    assert first.push("chat", "x").status == 200


def texts_sent(world: World, *sent: tuple[str, str]) -> list[Wire]:
    """Send a push for each identifier and text, on connections of their own. No answer of Redis is read yet."""
    wires = []
    for identifier, text in sent:
        body = form({"text": text, "secret": "0", "secure": secure(identifier, text)})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        wires.append(send_without_redis(world, request_bytes("POST", f"/{API_KEY}/push/{identifier}", body, kind)))
    return wires


@contextmanager
def subscribed(nodes: Nodes, *identifiers: str) -> Iterator[Callable[[], list[bytes]]]:
    """Hear what is published on the channels of identifiers. Gives a function that returns what came since its last call."""
    assert World.redis is not None
    channels = [f"cometify:{nodes[0].database}:{{{API_KEY}}}:{identifier}" for identifier in identifiers]
    with RedisConnection(World.redis.path) as heard:
        for channel in channels:
            heard.command("SUBSCRIBE", channel)

        def messages() -> list[bytes]:
            heard.socket.sendall(b"PING\r\n")
            return [reply[2] for reply in iter(heard.reply, [b"pong", b""])]

        yield messages


def test_pushes_in_flight_together_share_script_and_message(nodes):
    first, _second = nodes
    listeners = [joined(world.websocket("identifiers=chat,news")) for world in nodes]
    sent = [(name, f"{name} {number}") for number in range(5) for name in ("chat", "news")]
    with subscribed(nodes, "chat", "news") as messages:
        wires = texts_sent(first, *sent)
        nodes.settle()
        heard = messages()
    receipts = [wire.answer() for wire in wires]
    assert {receipt.status for receipt in receipts} == {200}
    # The first one goes alone. The others of each identifier stand next to each other.
    assert [message.count(b'"type":"push"') for message in heard] == [1, 5, 4]
    in_order = [
        text
        for _position, text in sorted(
            (one.json["position"], text) for one, (_, text) in zip(receipts, sent, strict=True)
        )
    ]
    assert [texts(wire.frames()) for wire in listeners] == [in_order] * 2
    assert [text for text in in_order if text.startswith("news")] == [f"news {number}" for number in range(5)]


def test_pushes_of_a_batch_keep_their_order(nodes):
    first, second = nodes
    wire = joined(second.websocket("identifiers=chat,news"))
    pushes = [{"identifier": ("chat", "news")[number % 2], "text": f"{number}", "secret": 0} for number in range(150)]
    path, body = f"/{API_KEY}/push", json.dumps(pushes[:100]).encode()
    batch = send_without_redis(first, request_bytes("POST", path, body, seal(path, body, first.wall(), next(nonces))))
    texts_sent(first, *[("chat", f"single {number}") for number in range(5)])
    nodes.settle()
    assert batch.answer().status == 200
    heard = texts(wire.frames())
    assert [text for text in heard if text.isdigit()] == [str(number) for number in range(100)]
    assert len(heard) == 105


@pytest.mark.parametrize(("count", "size", "scripts"), [(140, 3, [1, 64, 64, 11]), (9, 30_000, [1, 3, 3, 2])])
def test_script_has_a_bounded_number_of_pushes_and_bytes(nodes, count, size, scripts):
    """Full scripts go at once, and the rest when one of them is answered."""
    first, _second = nodes
    with subscribed(nodes, "chat") as messages:
        wires = texts_sent(first, *[("chat", f"{number:0{size}}") for number in range(count)])
        nodes.settle()
        heard = messages()
    assert {wire.answer().status for wire in wires} == {200}
    assert [message.count(b'"type":"push"') for message in heard] == scripts


def test_flood_of_an_account_waits_on_its_node_in_its_order(nodes):
    """Redis has run all scripts that are under way, and its answers are not read yet."""
    first, second = nodes
    listener = joined(second.websocket("identifiers=chat"))
    sent = [str(number) for number in range(10 * MOST_TOGETHER)]
    wires = texts_sent(first, *[("chat", text) for text in sent])
    kept, in_redis = f"cometify:{{{API_KEY}}}:public:chat", 1 + (MOST_SCRIPTS - 1) * MOST_TOGETHER
    eventually(lambda: nodes.command("LLEN", kept) == in_redis)
    first.reactor.advance(LONGEST_WAIT)
    assert nodes.command("PING") == b"PONG"  # whatever was sent before has been run
    assert nodes.command("LLEN", kept) == in_redis
    nodes.settle()
    assert {wire.answer().status for wire in wires} == {200}
    assert texts(listener.frames()) == sent


def test_push_that_waits_for_a_cut_script_was_not_pushed(nodes):
    first, second = nodes
    sent, waiting = texts_sent(first, ("chat", "1"), ("chat", "2"))
    nodes.cut(first)
    assert "may have been pushed" in sent.answer().json["detail"]
    assert "nothing was pushed" in waiting.answer().json["detail"]
    assert texts(second.stream("identifiers=chat:0").frames()) == ["1"]


def test_push_waits_no_longer_than_its_bound(nodes):
    """Redis is far away: its answer to the first push is not there yet."""
    first, _second = nodes
    texts_sent(first, ("chat", "1"), ("chat", "2"))
    kept = f"cometify:{{{API_KEY}}}:public:chat"
    eventually(lambda: nodes.command("LLEN", kept) == 1)
    first.reactor.advance(LONGEST_WAIT)
    eventually(lambda: nodes.command("LLEN", kept) == 2)


def test_refused_push_of_a_script_leaves_the_others(nodes):
    first, second = nodes
    wire = joined(second.websocket("identifiers=chat,news,rooms"))
    nodes.command("SADD", f"cometify:{{{API_KEY}}}:public:news", "evil")
    sent = [("rooms", "0"), ("chat", "1"), ("news", "2"), ("chat", "3"), ("room", "s0"), ("chat", "4")]
    wires = texts_sent(first, *sent)
    nodes.settle()
    answers = [wire.answer() for wire in wires]
    assert [answer.status for answer in answers] == [200, 200, 503, 200, 403, 200]
    assert "server's log" in answers[2].json["detail"]
    assert code_of(answers[4]) == "signature_reused"
    assert texts(wire.frames()) == ["0", "1", "3", "4"]
    assert first.server.engine.available
