"""permessage-deflate: a client that agrees to it gets the same frames in fewer bytes, and may compress its own."""

import json
import random

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, OPEN, by_query, gaps, kinds, refusal, texts
from tests.memory import World
from tests.wire import DEFLATE, client_frame, deflated, request_bytes, secure_key

OFFER = {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}
AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
SMALL, LARGE = "small", "again and " * 100
LISTEN = json.dumps({"type": "listen", "groups": [{"identifiers": ["chat"]}]}).encode()


def noise(seed: int, size: int) -> str:
    """Make a text that deflates to half its length and no less, so that writes stay long."""
    return random.Random(seed).randbytes(size // 2).hex()


# The handshake.


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate; client_max_window_bits", AGREED),  # Chromium
        ("permessage-deflate", AGREED),  # Firefox
        ("permessage-deflate; server_max_window_bits=15", AGREED + "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", AGREED),
        ("permessage-deflate; server_max_window_bits=9", None),
        ("permessage-deflate; unknown", None),
        ("nonsense;", None),
        ("x-other", None),
        ("\x80", None),
    ],
)
def test_offer_is_agreed_to_or_declined_and_never_refused(world, offer, agreed):
    wire = world.websocket("identifiers=chat", Sec_WebSocket_Extensions=offer)
    status, headers = wire.head
    assert status == 101
    assert headers.get("sec-websocket-extensions") == agreed
    world.pushed("chat", LARGE)
    assert texts(wire.frames()) == [LARGE]
    assert wire.compressed == (agreed is not None)


def test_offers_may_come_in_several_headers(world):
    wire = world.connect()
    upgrade = [
        ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=9"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ]  # fmt: skip
    lines = [f"GET /{API_KEY}/websocket?identifiers=chat HTTP/1.1", "Host: x", *[": ".join(line) for line in upgrade]]
    wire.receive("\r\n".join([*lines, "", ""]).encode())
    assert wire.head[1]["sec-websocket-extensions"] == AGREED


def test_refusal_is_told_with_deflate_as_well(world):
    assert refusal(world.websocket("identifiers=1", **OFFER)) == ("invalid_identifier", 4000)


# Pushes.


def test_frames_are_the_same_with_and_without_deflate(world):
    names = ("chat", "metrics")
    keyed = f"identifiers=chat:0,metrics:0&secureKey={secure_key(*names)}"
    queries = ("identifiers=chat:0,metrics:0", keyed, "identifiers=chat:0", "identifiers=metrics,chat")
    for number in range(6):
        world.pushed(names[number % 2], f"{number} " + (LARGE, SMALL, noise(1, 5000))[number % 3], int(number % 4 == 1))
    pairs = [(world.websocket(query), world.websocket(query, **OFFER)) for query in queries]
    for number in range(6, 18):
        world.pushed(names[number % 2], f"{number} " + (LARGE, SMALL, noise(1, 5000))[number % 3], int(number % 4 == 1))
    for query, (plain, agreed) in zip(queries, pairs, strict=True):
        frames = agreed.frames()
        assert frames == plain.frames()
        assert len(texts(frames)) > 5
        assert agreed.compressed == sum(len(text) > len(LARGE) for text in texts(frames)) > 2
        assert plain.compressed == 0
        assert any(frame["text"].startswith("5 ") for frame in frames if frame["type"] == "push") == (query == keyed)


def test_one_compressed_frame_serves_all_wherever_they_stand(world):
    """The bytes of a push are the same for a live listener, one that comes later, and one of more identifiers."""
    live = world.websocket("identifiers=chat", **OFFER)
    wide = world.websocket("identifiers=chat,metrics", **OFFER)
    live.frames(), wide.frames()
    world.pushed("chat", noise(1, 3000))
    world.websocket("identifiers=chat:0", **OFFER)
    late = world.websocket("identifiers=chat:0", **OFFER)
    sent = live.transport.value()
    assert sent[0] == 0xC1
    assert len(sent) < 2000
    assert wide.transport.value() == sent
    assert sent in late.transport.value()


@pytest.mark.parametrize("length", range(215, 235))
def test_only_large_pushes_that_get_smaller_are_compressed(world, length):
    wire = world.websocket("identifiers=chat", **OFFER)
    wire.frames()
    world.pushed("chat", "x" * length)
    frame = len(wire.transport.value())
    assert texts(wire.frames()) == ["x" * length]
    assert wire.compressed == (frame < 215), "deflated it is far smaller"


def test_only_pushes_are_compressed(world):
    names = ",".join(f"a_rather_long_identifier_{number}" for number in range(100))
    wire = world.websocket(f"identifiers={names}&secureKey={secure_key(*names.split(','))}", **OFFER)
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.advance(25)
    world.drain()
    assert kinds(wire.frames()) == ["heartbeat", "reconnect", "(close)"]
    assert wire.compressed == 0


def test_listener_behind_gets_the_gap_and_the_kept_pushes():
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=3))
    wire = world.websocket("identifiers=chat", **OFFER)
    wire.frames()
    wire.stop_reading()
    for number in range(5):
        world.pushed("chat", f"{number} {LARGE}")
    wire.read_again()
    frames = wire.frames()
    assert gaps(frames) == [["chat"]]
    assert [text[0] for text in texts(frames)] == ["2", "3", "4"]
    assert wire.compressed == 3


def test_short_write_of_a_compressed_frame_is_continued(server):
    pushed = [f"{number} {noise(number, 60_000)}" for number in range(40)]
    more = {"headers": DEFLATE, "receive_buffer": 4096}
    with server.websocket("identifiers=cut_short", **more) as slow, server.websocket("identifiers=cut_short") as quick:
        slow.joined(), quick.joined()
        for text in pushed:
            server.pushed("cut_short", text)
        assert quick.texts(40) == pushed
        assert slow.texts(40) == pushed
        assert (slow.compressed, quick.compressed) == (40, 0)


# Frames of the listener.


def test_a_listen_frame_may_be_compressed(world):
    wire = world.websocket(**OFFER)
    wire.receive(client_frame(deflated(LISTEN), reserved=0x40))
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    other = LISTEN.replace(b"chat", b"metrics")
    wire.receive(client_frame(other))
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    sent = deflated(LISTEN)
    wire.receive(client_frame(sent[:9], final=False, reserved=0x40) + client_frame(sent[9:], opcode=0))
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.pushed("chat", LARGE)
    assert texts(wire.frames()) == [LARGE]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_compressed_listen_frame_may_come_in_pieces(world, size):
    wire = world.websocket(**OFFER)
    sent = client_frame(deflated(LISTEN), reserved=0x40)
    for at in range(0, len(sent), size):
        wire.receive(sent[at : at + size])
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(b"\xff", reserved=0x40), 1007),
        (client_frame(b"", reserved=0x40), 1007),
        (client_frame(deflated(LISTEN)[:-2], reserved=0x40), 1007),
        (client_frame(deflated(b"\xff"), reserved=0x40), 1007),
        (client_frame(deflated(LISTEN), reserved=0x60), 1002),
        (client_frame(deflated(b"ping"), opcode=9, reserved=0x40), 1002),
        (
            client_frame(deflated(LISTEN)[:9], final=False, reserved=0x40)
            + client_frame(deflated(LISTEN)[9:], opcode=0, reserved=0x40),
            1002,
        ),
    ],
    ids=["not deflated", "empty", "cut", "not UTF-8", "another bit", "a control frame", "a later frame"],
)
def test_a_compressed_frame_that_is_wrong_ends_the_connection(world, sent, code):
    wire = world.websocket("identifiers=chat", **OFFER)
    wire.frames()
    wire.receive(sent)
    assert wire.frames() == [{"type": "(close)", "code": code}]


def test_a_compressed_frame_ends_a_connection_that_has_not_agreed(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.receive(client_frame(deflated(LISTEN), reserved=0x40))
    assert wire.frames() == [{"type": "(close)", "code": 1002}]


@pytest.mark.parametrize(("size", "code"), [(16 * 1024, "invalid_body"), (16 * 1024 + 1, "body_too_large")])
def test_16_kib_are_16_kib_once_inflated(world, size, code):
    wire = world.websocket(**OFFER)
    wire.receive(client_frame(deflated(b" " * size), reserved=0x40))
    assert refusal(wire) == (code, 4000)


def test_a_bomb_is_refused_like_any_frame_that_is_too_long(world):
    bomb = deflated(b" " * 15_000_000)
    assert len(bomb) < 16 * 1024
    wire = world.websocket(**OFFER)
    wire.receive(client_frame(bomb, reserved=0x40))
    assert refusal(wire) == ("body_too_large", 4000)


# Several frames that come at once.


@pytest.mark.memory("with Redis nobody has joined before the breach is seen")
def test_whole_frames_before_a_violation_are_answered(world):
    wire = world.websocket()
    wire.receive(client_frame(LISTEN) + client_frame(b"?", opcode=9) + client_frame(LISTEN, opcode=3))
    assert {"type": "(10)", "data": b"?"} in (frames := wire.frames())
    assert [kind for kind in kinds(frames) if kind != "(10)"] == ["ready", "(close)"]
    assert frames[-1]["code"] == 1002


@pytest.mark.parametrize("transport", [transport for transport in OPEN if transport != "websocket"])
def test_the_offer_means_nothing_on_other_transports(world, transport):
    wire = by_query(world, transport, "identifiers=chat", **OFFER)
    wire.frames()
    assert "sec-websocket-extensions" not in wire.head[1]
    world.pushed("chat", LARGE)
    assert texts(wire.frames()) == [LARGE]


def test_a_frame_behind_the_handshake_may_be_compressed(world):
    wire = world.connect()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Version": "13", **DEFLATE}  # fmt: skip
    listen = client_frame(deflated(LISTEN), reserved=0x40)
    wire.receive(request_bytes("GET", f"/{API_KEY}/websocket", None, upgrade) + listen)
    wire.is_websocket = True
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
