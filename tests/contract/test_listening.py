"""Section 3: joining by query and by frame, and the pushes that groups let through."""

import json

import pytest

from tests.contract.support import (
    API_KEY,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    gaps,
    kinds,
    positions,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import client_frame, request_bytes, secure_key

FRAMED = ("websocket", "stream", "poll")


# Transports.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_ready_comes_first_and_a_heartbeat_ends_the_replay(world, transport):
    ready, heartbeat = by_query(world, transport, "identifiers=chat").frames()[:2]
    head = world.clock()
    assert ready == {"type": "ready", "heartbeat": 25, "secret": [], "warnings": [], "positions": [head]}
    assert list(ready) == ["type", "heartbeat", "secret", "warnings", "positions"]
    assert heartbeat == {"type": "heartbeat", "position": head}


@pytest.mark.parametrize("transport", OPEN)
def test_push_reaches_its_listeners(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    wire.frames()
    position = world.pushed("chat", "Hello", push_id=7)
    expected = {"type": "push", "identifier": "chat", "push_id": 7, "text": "Hello", "position": position}
    assert wire.frames() == [expected]


def test_a_poll_that_joins_is_answered_at_once(world):
    wire = world.poll("identifiers=chat")
    status, headers = wire.head
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_a_poll_that_is_behind_is_answered_at_once(world):
    before = world.clock()
    world.pushed("chat", "one")
    wire = world.poll(f"identifiers=chat&position={before - 1}")
    assert kinds(wire.frames()) == ["push", "heartbeat"]


def test_a_poll_at_the_head_waits_for_a_push(world):
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    world.advance(10)
    world.pushed("metrics", "not asked for")
    assert not wire.answered
    world.pushed("chat", "one")
    assert kinds(wire.frames()) == ["push", "heartbeat"]


def test_a_poll_waits_for_heartbeat_seconds_at_most(world):
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    world.advance(24)
    assert not wire.answered
    world.advance(1)
    (beat,) = wire.frames()
    assert beat == {"type": "heartbeat", "position": beat["position"]}
    assert world.clock() - world.lag <= beat["position"] <= world.clock()


def test_waiting_polls_get_the_same_bytes(world):
    head = world.clock()
    polls = [
        world.poll(f"identifiers=chat&position={head}"),
        world.poll(f"identifiers=chat&position={head}&listener=x2345678"),
    ]
    world.pushed("chat", "x")
    first, second = [poll.answer().body for poll in polls]
    assert first == second
    assert first.endswith(b"}\n")


def test_waiting_poll_is_not_cut_by_the_idle_timeout():
    world = World(heartbeat=300)
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    world.advance(299)
    assert not wire.answered
    assert not wire.transport.disconnecting
    world.advance(1)
    assert kinds(wire.frames()) == ["heartbeat"]


def test_streams_have_lines_and_event_streams_data_and_id(world):
    stream, events = world.stream("identifiers=chat"), by_query(world, "events", "identifiers=chat")
    position = world.pushed("chat", "x")
    assert stream.head[1]["content-type"] == "application/x-ndjson"
    assert events.head[1]["content-type"] == "text/event-stream"
    lines = stream.body().decode().splitlines()
    blocks = events.body().decode().split("\n\n")
    assert blocks.pop() == ""
    assert [block.split("\n")[0] for block in blocks] == [f"data: {line}" for line in lines]
    assert blocks[-1].split("\n")[1:] == [f"id: {position}"]


def test_an_event_streams_ids_are_the_positions_of_its_frames(world):
    wire = by_query(world, "events", f"identifiers=chat&position={world.clock() + 10_000_000}")
    blocks = [block.split("\n") for block in wire.body().decode().split("\n\n")[:-1]]
    seen = {}
    for block in blocks:
        frame = json.loads(block[0].removeprefix("data: "))
        seen[frame["type"]] = block[1:]
    head = world.clock()
    assert seen == {"ready": [f"id: {head}"], "gap": [], "heartbeat": [f"id: {head}"]}


def test_last_event_id_resumes_and_wins_over_position(world):
    first = world.pushed("chat", "one")
    world.pushed("chat", "two")
    head = world.clock() + 1000
    path = f"/{API_KEY}/events?identifiers=chat"
    assert texts(world.request("GET", path, Last_Event_ID=str(first)).frames()) == ["two"]
    assert texts(world.request("GET", f"{path}&position={head}", Last_Event_ID=str(first)).frames()) == ["two"]
    assert texts(world.request("GET", f"{path}&position={first - 1}", Last_Event_ID="").frames()) == ["one", "two"]


@pytest.mark.parametrize("transport", ["stream", "events"])
def test_http_1_0_gets_a_stream_that_is_not_chunked(world, transport):
    wire = world.connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/{transport}?identifiers=chat", version="HTTP/1.0"))
    assert "transfer-encoding" not in wire.head[1]
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.pushed("chat", "x")
    assert texts(wire.frames()) == ["x"]


def test_http_1_0_polls(world):
    wire = world.connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat", version="HTTP/1.0"))
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_absolute_form_target_listens_too(world, transport):
    wire = world.connect()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Version": "13"}  # fmt: skip
    target = f"http://push.example.org/{API_KEY}/{transport}?identifiers=chat"
    wire.receive(request_bytes("GET", target, None, upgrade if transport == "websocket" else None))
    wire.is_websocket = transport == "websocket"
    assert kinds(wire.frames())[:2] == ["ready", "heartbeat"]


def test_frames_right_behind_a_handshake_are_read(world):
    wire = world.connect()
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
               "Sec-WebSocket-Version": "13"}  # fmt: skip
    listen = client_frame(b'{"type":"listen","groups":[{"identifiers":["chat"]}]}')
    wire.receive(request_bytes("GET", f"/{API_KEY}/websocket", None, upgrade) + listen)
    wire.is_websocket = True
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_bytes_sent_behind_a_stream_request_mean_nothing(world):
    wire = world.connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat") + b"GET / HTTP/1.1\r\n\r\n")
    wire.receive(b"more")
    world.pushed("chat", "x")
    assert kinds(wire.frames()) == ["ready", "heartbeat", "push"]


def test_polls_in_a_row_on_one_connection(world):
    wire = world.connect()
    once = request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat")
    wire.receive(once + once)
    body = wire.body()
    assert wire.head[0] == 200
    assert body.count(b'"type":"ready"') == 2
    wire.receive(once)
    assert wire.body().count(b'"type":"ready"') == 1


def test_a_stream_behind_polls_on_one_connection(world):
    wire = world.connect()
    poll = request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat")
    wire.receive(poll + request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat"))
    assert wire.body().count(b'"type":"ready"') == 2
    world.pushed("chat", "x")
    assert wire.body().count(b'"text":"x"') == 1


def test_a_ping_is_answered(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.receive(client_frame(b"are you there?", opcode=9))
    assert wire.frames() == [{"type": "(10)", "data": b"are you there?"}]


def test_an_unasked_pong_means_nothing(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.receive(client_frame(b"", opcode=10))
    world.pushed("chat", "x")
    assert texts(wire.frames()) == ["x"]


def test_a_listen_may_come_in_fragments_with_pings_between(world):
    wire = world.websocket()
    body = b'{"type":"listen","groups":[{"identifiers":["chat"]}]}'
    wire.receive(client_frame(body[:10], final=False) + client_frame(b"", opcode=9))
    wire.receive(client_frame(body[10:20], opcode=0, final=False))
    wire.receive(client_frame(body[20:], opcode=0))
    assert kinds(wire.frames()) == ["(10)", "ready", "heartbeat"]


def test_a_listen_of_16_kib_is_taken(world):
    body = json.dumps({"type": "listen", "groups": [{"identifiers": ["chat"]}]}).encode()
    for transport in FRAMED:
        padded = body + b" " * (16 * 1024 - len(body))
        if transport == "websocket":
            wire = world.websocket()
            wire.receive(client_frame(padded))
        else:
            wire = world.request("POST", f"/{API_KEY}/{transport}", padded)
        assert kinds(wire.frames())[:2] == ["ready", "heartbeat"]
        if transport == "websocket":
            wire = world.websocket()
            wire.receive(client_frame(padded + b" "))
            assert refusal(wire) == ("body_too_large", 4000)
        else:
            wire = world.request("POST", f"/{API_KEY}/{transport}", padded + b" ")
            assert refusal(wire) == ("body_too_large", 413)


# Requests to listen.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_empty_parameter_means_the_same_as_none(world, transport):
    wire = by_query(world, transport, "identifiers=chat&secureKey=&token=&position=&listener=")
    assert kinds(wire.frames())[:2] == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", FRAMED)
@pytest.mark.parametrize("identifiers", ["chat", ["chat"], {"chat": 0}, ["Chat", "metrics"]])
def test_identifiers_are_a_string_an_array_or_an_object(world, transport, identifiers):
    wire = by_frame(world, transport, {"identifiers": identifiers})
    assert "ready" in kinds(wire.frames())
    if transport != "poll":
        world.pushed("chat", "x")
        assert texts(wire.frames()) == ["x"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "", "image/png"])
def test_a_listen_frame_is_posted_with_any_content_type(world, content_type):
    body = b'{"type":"listen","groups":[{"identifiers":"chat"}]}'
    wire = world.request("POST", f"/{API_KEY}/poll", body, Content_Type=content_type)
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_a_post_without_a_body_asks_by_query(world):
    wire = world.request("POST", f"/{API_KEY}/poll?identifiers=chat", b"")
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_unknown_fields_are_ignored(world):
    wire = by_frame(world, "websocket", {"identifiers": "chat", "colour": "red"}, shape=["round"])
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    assert kinds(world.poll("identifiers=chat&colour=red").frames()) == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("identifiers=chat,metrics:0", "invalid_parameter"),
        ("identifiers=chat,CHAT", "invalid_parameter"),
        ("identifiers=chat:1,chat:2", "invalid_parameter"),
        ("identifiers=chat&identifiers=metrics", "repeated_parameter"),
        ("identifiers=chat,", "invalid_identifier"),
        ("identifiers=ch%20at", "invalid_identifier"),
        ("identifiers=chat%0A", "invalid_identifier"),
        ("identifiers=1chat", "invalid_identifier"),
        ("identifiers=" + "x" * 61, "invalid_identifier"),
        ("identifiers=chat:x", "invalid_parameter"),
        ("identifiers=chat:-1", "invalid_parameter"),
        ("identifiers=chat:9223372036854775808", "invalid_parameter"),
        ("identifiers=chat&position=x", "invalid_parameter"),
        ("identifiers=chat&position=-1", "invalid_parameter"),
        ("identifiers=chat&position=9007199254740992", "invalid_parameter"),
        ("identifiers=chat&listener=short", "invalid_parameter"),
        ("identifiers=chat&listener=with%20a%20space", "invalid_parameter"),
        ("identifiers=chat&listener=" + "x" * 65, "invalid_parameter"),
        ("identifiers=&secureKey=x", "missing_parameter"),
        ("identifiers=%ff", "invalid_parameter"),
        ("identifiers=" + ",".join(f"i{n}" for n in range(101)), "invalid_parameter"),
    ],
)
def test_a_query_that_is_wrong_is_refused(world, transport, query, code):
    assert refusal(by_query(world, transport, query)) == (code, 4000 if transport == "websocket" else 400)


@pytest.mark.parametrize("transport", FRAMED)
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "listen"}, "missing_parameter"),
        ({"type": "listen", "groups": []}, "invalid_parameter"),
        ({"type": "listen", "groups": {}}, "invalid_parameter"),
        ({"type": "listen", "groups": ["chat"]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{}]}, "missing_parameter"),
        ({"type": "listen", "groups": [{"identifiers": []}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": 5}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": [5]}]}, "invalid_identifier"),
        ({"type": "listen", "groups": [{"identifiers": [["chat"]]}]}, "invalid_identifier"),
        ({"type": "listen", "groups": [{"identifiers": ["chat", "Chat"]}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": {"chat": None}}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": {"chat": True}}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": {"chat": 1.5}}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": {"chat": 2**53}}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": "chat", "position": 2**53}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": "chat", "position": 1.0}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": "chat", "secureKey": 5}]}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": "chat"}], "listener": 12345678}, "invalid_parameter"),
        ({"type": "listen", "groups": [{"identifiers": "chat"}], "listener": "short"}, "invalid_parameter"),
        ({"type": "unlisten", "groups": [{"identifiers": "chat"}]}, "invalid_body"),
        ({"groups": [{"identifiers": "chat"}]}, "invalid_body"),
        (["listen"], "invalid_body"),
        ("listen", "invalid_body"),
        (
            {"type": "listen", "groups": [{"identifiers": "chat"}, {"identifiers": [f"a{n}" for n in range(101)]}]},
            "invalid_parameter",
        ),
    ],
)  # fmt: skip
def test_a_frame_that_is_wrong_is_refused(world, transport, frame, code):
    if transport == "websocket":
        wire = world.websocket()
        wire.receive(client_frame(json.dumps(frame).encode()))
    else:
        wire = world.request("POST", f"/{API_KEY}/{transport}", json.dumps(frame).encode())
    assert refusal(wire) == (code, 4000 if transport == "websocket" else 400)


def test_the_same_identifier_twice_in_an_object_is_refused(world):
    wire = world.websocket()
    wire.receive(client_frame(b'{"type":"listen","groups":[{"identifiers":{"chat":1,"chat":2}}]}'))
    assert refusal(wire) == ("invalid_parameter", 4000)


def test_100_identifiers_over_all_groups_are_taken(world):
    wire = world.websocket()
    wire.listen({"identifiers": [f"a{n}" for n in range(60)]}, {"identifiers": {f"b{n}": 0 for n in range(40)}})
    assert kinds(wire.frames())[0] == "ready"
    world.pushed("a59", "x")
    world.pushed("b39", "y")
    assert texts(wire.frames()) == ["x", "y"]


def test_internal_ids_above_2_to_the_53_are_strings(world):
    wire = by_frame(world, "websocket", {"identifiers": {"chat": str(2**63 - 2)}})
    wire.frames()
    world.pushed("chat", "not above", push_id=2**63 - 2)
    world.pushed("chat", "above", push_id=2**63 - 1)
    assert texts(wire.frames()) == ["above"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_unknown_api_key_is_not_authorized(world, transport):
    wire = by_query(world, transport, "identifiers=chat", key="99")
    assert refusal(wire) == ("not_authorized", 4001 if transport == "websocket" else 403)


# Secrets.


@pytest.mark.parametrize("transport", OPEN)
def test_secret_pushes_reach_only_listeners_with_the_key(world, transport):
    right = by_query(world, transport, f"identifiers=chat&secureKey={secure_key('chat')}")
    wrong = by_query(world, transport, f"identifiers=chat&secureKey={secure_key('other')}")
    plain = by_query(world, transport, "identifiers=chat")
    ready = right.frames()[0]
    assert (ready["secret"], ready["warnings"]) == (["chat"], [])
    (warning,) = wrong.frames()[0]["warnings"]
    assert "md5hex(apiKey + apiSecret + md5hex(" in warning
    assert plain.frames()[0]["warnings"] == []
    world.pushed("chat", "a secret", secret=1)
    world.pushed("chat", "public")
    assert texts(right.frames()) == ["a secret", "public"]
    assert texts(wrong.frames()) == texts(plain.frames()) == ["public"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_secret_pushes_are_replayed_only_with_the_key(world, transport):
    world.pushed("chat", "a secret", secret=1)
    world.pushed("chat", "public")
    assert texts(by_query(world, transport, "identifiers=chat:0").frames()) == ["public"]
    key = secure_key("chat")
    assert texts(by_query(world, transport, f"identifiers=chat:0&secureKey={key}").frames()) == ["a secret", "public"]


def test_secure_key_signs_names_as_sent_without_internal_ids(world):
    def secrets(query: str) -> list[str]:
        return world.websocket(query).frames()[0]["secret"]

    key = secure_key("Chat", "metrics")
    assert secrets(f"identifiers=Chat,metrics&secureKey={key}") == ["chat", "metrics"]
    assert secrets(f"identifiers=Chat:5,metrics:0&secureKey={key}") == ["chat", "metrics"]
    assert secrets(f"identifiers=chat,metrics&secureKey={key}") == []
    assert secrets(f"identifiers=metrics,Chat&secureKey={key}") == []
    assert secrets(f"identifiers=Chat&secureKey={key}") == []


def test_a_key_is_the_groups_own(world):
    wire = world.websocket()
    wire.listen({"identifiers": ["chat"], "secureKey": secure_key("chat")}, {"identifiers": ["metrics"]})
    assert wire.frames()[0]["secret"] == ["chat"]
    world.pushed("chat", "one", secret=1)
    world.pushed("metrics", "two", secret=1)
    assert texts(wire.frames()) == ["one"]


@pytest.mark.parametrize("transport", OPEN)
def test_a_push_that_it_may_not_see_leaves_no_trace(world, transport):
    """It gets the same bytes as a listener for whom nothing is pushed."""
    query = "identifiers=chat,metrics:5"
    wire = by_query(world, transport, query.replace("chat", "chat:0"))
    quiet = by_query(world, transport, query.replace("chat", "quiet:0").replace("metrics", "silent"))
    assert wire.body() == quiet.body()
    for _ in range(40):
        world.advance(5)
        world.pushed("chat", "a secret", secret=1, push_id=9)
        world.pushed("metrics", "a secret", secret=1)
        assert wire.body() == quiet.body()


@pytest.mark.memory("a heartbeat within a second of the push has its position, for Redis has told no later one yet")
def test_a_push_below_the_internal_id_leaves_no_trace(world):
    wire, quiet = world.stream("identifiers=chat:5"), world.stream("identifiers=quiet:5")
    assert wire.body() == quiet.body()
    for _ in range(60):
        world.advance(1)
        world.pushed("chat", "seen", push_id=5)
        assert wire.body() == quiet.body()


def test_push_that_a_poll_may_not_see_does_not_answer_it(world):
    head = world.clock()
    poll, filtered = world.poll(f"identifiers=chat&position={head}"), world.poll(f"identifiers=chat:5&position={head}")
    world.pushed("chat", "a secret", secret=1)
    assert not poll.answered
    assert not filtered.answered
    world.pushed("chat", "seen", push_id=5)
    assert poll.answered
    assert not filtered.answered


# Order.


@pytest.mark.parametrize("transport", OPEN)
def test_pushes_of_all_identifiers_come_in_order_of_position(world, transport):
    wire = by_query(world, transport, "identifiers=c,a,b")
    wire.frames()
    for number in range(12):
        world.pushed("abc"[number % 3], str(number))
    assert texts(wire.frames()) == [str(number) for number in range(12)]
    replay = by_query(world, transport, "identifiers=c:0,a:0,b:0").frames()
    assert texts(replay) == [str(number) for number in range(12)]
    assert positions(replay) == sorted(positions(replay))


def test_replay_and_live_join_without_a_hole_and_without_a_repeat(world):
    world.pushed("chat", "before")
    wire = world.connect()
    # Joined, but not yet brought to the head, when the next push comes.
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat:0"))
    world.pushed("chat", "meanwhile")
    world.pushed("chat", "after")
    frames = wire.frames()
    assert texts(frames) == ["before", "meanwhile", "after"]
    assert gaps(frames) == []


def test_frames_are_the_same_bytes_on_every_transport(world):
    position = world.pushed("chat", "Grüße ☃", push_id=2**60)
    wires = {name: by_query(world, name, f"identifiers=chat&position={position - 1}") for name in TRANSPORTS}
    push = f'{{"type":"push","identifier":"chat","push_id":"{2**60}","text":"Grüße ☃","position":{position}}}'
    for wire in wires.values():
        assert wire.head[0] in (101, 200)
        assert push.encode() in wire.body()
