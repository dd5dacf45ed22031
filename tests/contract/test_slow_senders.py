"""Requests and messages that have begun must go on, on every transport. Honest slow clients have the time that they need."""

import select
import time
from contextlib import ExitStack

import pytest

from cometify.http.idle_timeout import LEAST_SPEED, REST_WITHIN
from cometify.http.long_bodies import MOST_SMALL
from cometify.transports.begun_message import MESSAGE_WITHIN
from tests.contract.support import API_KEY, kinds
from tests.http.test_long_bodies import Sender
from tests.memory import World
from tests.wire import FORM, Connection, client_frame, form, request_bytes, secure

LISTEN = b'{"type":"listen","groups":[{"identifiers":["chat"]}]}'
ODD = {"Proxy-Connection": "keep-alive"}
"""A header that keeps a request off the fast path, so that twisted.web reads it."""
PUSH = f"/{API_KEY}/push/chat"
HEAD = request_bytes("POST", PUSH, None, {"Content-Length": "60000", **FORM})
CHUNKED = request_bytes("POST", PUSH, None, {"Transfer-Encoding": "chunked", **FORM})
BATCH = request_bytes("POST", f"/{API_KEY}/push", None, {"Content-Length": "60000"})

BEGUN = {
    "plain head": (HEAD[:30], b"x"),
    "odd head": (b"\r\n" + HEAD[:-2] + b"X-Odd: ", b"x"),
    "long head": (HEAD[:-2] + b"X-Long: " + b"x" * 5000, b"x"),
    "plain body": (HEAD, b"x"),
    "odd body": (b"\r\n" + HEAD, b"x"),
    "unsigned batch": (BATCH, b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "many chunks": (CHUNKED, b"1\r\nx\r\n" * 100),
    "one chunk": (CHUNKED + b"ffff\r\n", b"x"),
    "refused body": (HEAD.replace(b"60000", b"600000"), b"x"),
}
"""Requests that have begun, each with what then comes from time to time."""


@pytest.mark.parametrize("name", BEGUN)
def test_request_that_comes_by_the_byte_is_closed_in_time(world, name):
    begun, more = BEGUN[name]
    wire = world.connect()
    wire.receive(begun)
    for _ in range(REST_WITHIN // 10 - 1):
        world.advance(10)
        wire.receive(more)
        assert not wire.transport.disconnecting
    world.advance(12)
    assert wire.transport.disconnecting
    assert b"cometify_requests_too_slow_total 1.0" in world.admin("GET", "/metrics").body


def test_long_bodies_of_both_public_ports_count_together(world):
    length = 500_000
    for _ in range(MOST_SMALL // length // 2):
        for site in (world.server.http, world.server.websocket):
            sender = Sender(site, length)
            sender.send(length - 1)
            assert not sender.waits
    last = [Sender(site, length) for site in (world.server.http, world.server.websocket)]
    for sender in last:
        sender.send(length - 1)
    assert [sender.waits for sender in last] == [True, True]


PUSHED = form({"text": "x" * 50_000, "secret": "0", "secure": secure("chat", "x" * 50_000)})


def in_chunks(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("framing", ["counted", "chunked"])
@pytest.mark.parametrize("pause", [1, 20])
def test_slow_honest_publisher_is_served(world, way, framing, pause):
    speed = LEAST_SPEED + 100
    wire = world.connect()
    length = {"Content-Length": str(len(PUSHED))} if framing == "counted" else {"Transfer-Encoding": "chunked"}
    head = request_bytes("POST", PUSH, None, {**FORM, **length, **way})
    for at in range(0, len(head), 20):
        wire.receive(head[at : at + 20])
        world.advance(1)
    for at in range(0, len(PUSHED), speed * pause):
        part = PUSHED[at : at + speed * pause]
        world.advance(pause)
        wire.receive(part if framing == "counted" else in_chunks(part))
    if framing == "chunked":
        wire.receive(b"0\r\n\r\n")
    assert wire.answer().status == 200
    world.advance(55)
    assert not wire.transport.disconnecting


def test_short_requests_cut_in_the_middle_never_add_up(world):
    wire = world.connect()
    request = request_bytes("POST", PUSH, b"x", FORM)
    wire.receive(request[:40])
    for _ in range(20):
        world.advance(10)
        wire.receive(request[40:] + request[:40])
        assert wire.answer().status == 400
    assert not wire.transport.disconnecting


# WebSockets.


def closed_with(wire):
    error, close = wire.frames()[-2:]
    assert error["type"] == "error"
    return error["code"], close["code"]


@pytest.mark.parametrize(
    "between",
    [client_frame(b"", 0, final=False), client_frame(b"", opcode=9), b""],
    ids=["fragment", "ping", "nothing"],
)
def test_message_that_is_never_finished_ends_the_websocket(world, between):
    wire = world.websocket("identifiers=chat")
    wire.receive(client_frame(b"{", final=False))
    for _ in range(MESSAGE_WITHIN // 10 - 1):
        world.advance(10)
        wire.receive(between)
        assert "error" not in kinds(wire.frames())
    world.advance(12)
    assert closed_with(wire) == ("too_slow", 4103)
    world.advance(12)
    assert wire.transport.aborted


def test_frame_that_comes_by_the_byte_ends_the_websocket(world):
    wire = world.websocket("identifiers=chat")
    for byte in client_frame(LISTEN)[:4]:
        wire.receive(bytes([byte]))
        world.advance(10)
    assert closed_with(wire) == ("too_slow", 4103)


def test_message_may_take_its_time_and_the_next_one_too(world):
    wire = world.websocket("identifiers=chat")
    frame = client_frame(LISTEN)
    first, second = client_frame(LISTEN[:20], final=False), client_frame(LISTEN[20:], opcode=0)
    for begun, rest in ((frame[:5], frame[5:]), (first, second), (first, second + first), (b"", second)):
        wire.receive(begun)
        world.advance(MESSAGE_WITHIN - 5)
        wire.receive(rest)
    world.advance(MESSAGE_WITHIN * 2)
    assert "error" not in kinds(wire.frames())


def test_pings_that_are_cut_in_the_middle_never_add_up(world):
    wire = world.websocket("identifiers=chat")
    ping = client_frame(b"alive", opcode=9)
    wire.receive(ping[:4])
    for _ in range(12):
        world.advance(10)
        wire.receive(ping[4:] + ping[:4])
    assert "error" not in kinds(wire.frames())


def test_closed_websocket_leaves_no_watch_over_its_message():
    world = World()
    wire = world.websocket("identifiers=chat")
    wire.receive(client_frame(b"{", final=False))
    wire.lose()
    world.advance(MESSAGE_WITHIN + 2)
    assert world.server.membership.ended["too_slow"] == 0


# Real sockets.

WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
HANDSHAKE = request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, WEBSOCKET)
SENT = {name: begun for name, begun in BEGUN.items() if name != "many chunks"} | {
    "WebSocket frame": (HANDSHAKE + client_frame(b"x" * 5000)[:10], b"x"),
    "WebSocket fragments": (HANDSHAKE + client_frame(b"{", final=False), client_frame(b"", 0, final=False)),
}


def test_every_slow_sender_is_closed_on_real_sockets(server):
    with ExitStack() as opened:
        steady, *others = [opened.enter_context(Connection(server.port)) for _ in range(len(SENT) + 1)]
        connections = dict(zip(SENT, others, strict=True))
        steady.send(HEAD.replace(b"60000", b"%d" % len(PUSHED)))
        began, sent, ended = time.monotonic(), 0, {}
        for name, connection in connections.items():
            connection.send(SENT[name][0])
        while len(ended) < len(connections) and time.monotonic() < began + 60:
            steady.send(PUSHED[sent : sent + 1500])
            sent += 1500
            time.sleep(1)
            for name, connection in connections.items():
                if name not in ended and not dribble(connection, SENT[name][1]):
                    ended[name] = time.monotonic() - began
        assert set(ended) == set(connections)
        assert min(ended.values()) > REST_WITHIN - 3
        steady.send(PUSHED[sent:])
        assert steady.answer().status == 200


def dribble(connection, more):
    """Send some more. False: the server has closed the connection."""
    try:
        connection.send(more)
        while select.select([connection.socket], [], [], 0)[0]:
            if not connection.fill():
                return False
    except OSError:
        return False
    return True
