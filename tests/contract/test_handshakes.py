"""A plain handshake of our own and Autobahn's handshake give the same answer and the same frames.

Autobahn is the oracle: it does every handshake that is not plain, and a plain one must look the same to the browser.
"""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.http.fast_parser import MOST_HEAD
from tests.contract.test_fast_and_twisted import Counted, told

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
