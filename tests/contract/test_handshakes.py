"""A plain handshake of our own and Autobahn's handshake give the same answer and the same frames.

Autobahn is the oracle: it does every handshake that is not plain, and a plain one must look the same to the browser.
"""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.http.fast_parser import MOST_HEAD
from cometify.websocket.frame_reader import PONG, close_frame, control_frame
from tests.contract.support import API_KEY
from tests.contract.test_fast_and_twisted import Counted, told
from tests.wire import client_frame, request_bytes

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
LONG_COOKIE = {"Cookie": "session=" + "x" * MOST_HEAD}
"""Makes a handshake that is not plain, and is nothing to a WebSocket."""

offers = st.sampled_from(
    [
        None,
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=9, permessage-deflate",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ]
)
queries = st.sampled_from(
    ["", "identifiers=chat", "identifiers=chat:0", "identifiers=1", "identifiers=chat&position=x"]
)
origins = st.sampled_from([None, "null", "https://a.example"])


@given(queries, offers, origins)
@settings(max_examples=25)
def test_both_handshakes_give_the_same_answer_and_frames(query, offer, origin):
    wanted = {"Sec_WebSocket_Extensions": offer, "Origin": origin}
    headers = {name: value for name, value in wanted.items() if value is not None}
    ours, autobahns = Counted(), Counted()
    for world in (ours, autobahns):
        world.pushed("chat", "kept")
    before = ours.ordinary, autobahns.ordinary
    wires = ours.websocket(query, **headers), autobahns.websocket(query, **headers, **LONG_COOKIE)
    assert (ours.ordinary, autobahns.ordinary) == (before[0], before[1] + 1), "not one handshake each way"
    assert wires[0].head[0] == 101
    assert answer(wires[0]) == answer(wires[1])
    for world in (ours, autobahns):
        world.pushed("chat", "new" * 200)
    assert wires[0].body() == wires[1].body()


def answer(wire):
    status, headers, body = told(wire)
    # Autobahn writes WebSocket. RFC 6455, section 4.1: the value is compared without regard to case.
    return status, {**headers, "upgrade": headers["upgrade"].lower()}, body


@pytest.mark.parametrize("protocol", ["chat", "chat, other"])
def test_subprotocol_is_left_to_autobahn_and_not_agreed_on(protocol):
    world = Counted()
    wire = world.websocket("identifiers=chat", Sec_WebSocket_Protocol=protocol)
    assert world.ordinary == 1
    assert wire.head[0] == 101
    assert "sec-websocket-protocol" not in wire.head[1]


FRAMES_BEHIND = {
    "a ping": (client_frame(b"early", opcode=9), control_frame(PONG, b"early")),
    "a close frame": (client_frame(b"\x03\xe8", opcode=8), close_frame(1000)),
    "a wrong frame": (b"\xff\xff\xff\xff", close_frame(1002)),
}


@pytest.mark.parametrize("query", ["?identifiers=chat", "?identifiers=chat:0", ""])
@pytest.mark.parametrize("name", FRAMES_BEHIND)
def test_answer_to_the_handshake_precedes_all_frames(name, query):
    frame, answer_to_frame = FRAMES_BEHIND[name]
    world = Counted()
    wire = world.connect()
    wire.is_websocket = True
    wire.receive(request_bytes("GET", f"/{API_KEY}/websocket{query}", None, HANDSHAKE) + frame)
    assert wire.head[0] == 101
    sent = wire.body()
    assert answer_to_frame in sent
    assert sent.count(b"HTTP/1.1") == 0
    assert sent.count(b'"type":"ready"') <= 1


WRONG_HANDSHAKES = {
    "version of HTTP": (b"HTTP/1.1", b"HTTP/1.0"),
    "method": (b"GET", b"POST"),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "key with odd bytes": (b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff\x01\x0bzqmark"),
    "version": (b"Version: 13", b"Version: 12"),
    "version that is no number": (b"Version: 13", b"Version: zqmark\x01"),
    "space in the target": (b"identifiers=chat", b"identifiers=chat\xa0&token=zqmark"),
}


@pytest.mark.parametrize("name", WRONG_HANDSHAKES)
def test_wrong_handshake_gets_a_problem_that_repeats_nothing(name):
    world = Counted()
    wire = world.connect()
    right = request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, HANDSHAKE)
    was, becomes = WRONG_HANDSHAKES[name]
    wire.receive(right.replace(was, becomes, 1))
    answer = wire.answer()
    assert answer.status in {400, 405}, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] in {"invalid_parameter", "method_not_allowed"}
    assert b"zqmark" not in answer.body
    assert wire.transport.disconnecting or name == "method"


def test_wrong_version_of_websocket_is_told_the_right_ones():
    wire = Counted().connect()
    headers = {**HANDSHAKE, "Sec-WebSocket-Version": "12"}
    wire.receive(request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, headers))
    assert "13" in wire.head[1]["sec-websocket-version"]
