"""Section 2: a push with `except` is sent to everybody but one listener."""

import json

import pytest

from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    FORM,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    code_of,
    kinds,
    positions,
    push_fields,
    texts,
)
from tests.memory import World
from tests.wire import form, request_bytes, secure, secure_key

JSON = "application/json"
PATH, BATCH = f"/{API_KEY}/push/chat", f"/{API_KEY}/push"
ME, OTHER = "me-0123456789", "other_01234567"


def send(world, body, *, path=PATH, kind=JSON, **headers):
    wire = world.connect("127.0.0.1")
    head = {"Content-Type": kind, "Authorization": f"Bearer {API_SECRET}", **headers}
    wire.receive(request_bytes("POST", path, body.encode(), head))
    return wire.answer()


def push(world, text="mine", excluded=ME, **more):
    """Push a text to all but one listener. Returns its position."""
    fields = {"text": text, "secret": 0, **({} if excluded is None else {"except": excluded}), **more}
    answer = send(world, json.dumps(fields))
    assert answer.status == 200, answer
    world.settle()
    return answer.json["position"]


def heard(world, transport, listener, query="identifiers=chat:0"):
    """The texts of the first answer to a new listener."""
    return texts(by_query(world, transport, f"{query}&listener={listener}").frames())


@pytest.mark.parametrize("transport", OPEN)
def test_named_listener_skips_the_push_live(world, transport):
    mine, others = (by_query(world, transport, f"identifiers=chat&listener={name}") for name in (ME, OTHER))
    nameless = by_query(world, transport, "identifiers=chat")
    for wire in (mine, others, nameless):
        wire.frames()
    for text, excluded in (("a", None), ("b", ME), ("c", None), ("d", OTHER), ("e", None)):
        push(world, text, excluded)
    assert texts(mine.frames()) == ["a", "c", "d", "e"]
    assert texts(others.frames()) == ["a", "b", "c", "e"]
    assert texts(nameless.frames()) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("query", ["identifiers=chat:0", "identifiers=chat:6", "identifiers=chat,metrics&position={}"])
def test_named_listener_skips_the_push_in_replay(world, transport, query):
    query = query.format(world.clock())
    world.advance(1)
    for text, excluded in (("a", None), ("b", ME), ("c", None)):
        push(world, text, excluded, push_id=7)
    for first in (ME, OTHER, ME):  # whether or not the view has the bytes for the other
        assert heard(world, transport, first, query) == (["a", "c"] if first == ME else ["a", "b", "c"])


def test_replay_of_nothing_else_is_empty(world):
    push(world)
    frames = world.stream(f"identifiers=chat:0&listener={ME}").frames()
    assert kinds(frames) == ["ready", "heartbeat"]


@pytest.mark.parametrize("transport", OPEN)
def test_cursor_moves_past_the_push_with_the_heartbeat(world, transport):
    wire = by_query(world, transport, f"identifiers=chat&listener={ME}")
    wire.frames()
    position = push(world)
    assert wire.frames() == []
    world.advance(26)
    (beat,) = wire.frames()
    assert beat["type"] == "heartbeat"
    assert beat["position"] >= position


def test_waiting_poll_is_not_answered_by_the_push(world):
    position = world.clock()
    mine, others = (world.poll(f"identifiers=chat&position={position}&listener={name}") for name in (ME, OTHER))
    push(world)
    assert texts(others.frames()) == ["mine"]
    assert not mine.answered
    push(world, "next", None)
    assert texts(mine.frames()) == ["next"]


def test_poll_that_comes_again_skips_the_push(world):
    position = push(world, "first", None)
    wire = world.connect()

    def poll(after):
        wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={after}&listener={ME}", b"", {}))

    poll(position - 1)
    assert texts(wire.frames()) == ["first"]
    wire._head = None
    for number in range(3):
        # Somebody waits in the same view, or it would be forgotten, and the poll would join again.
        world.poll(f"identifiers=chat&position={position}&listener={ME}", host="10.0.0.2")
        mine = push(world, f"mine {number}")
        poll(position)
        assert not wire.answered
        position = push(world, f"next {number}", None)
        assert texts(wire.frames()) == [f"next {number}"]
        assert mine < position
        wire._head = None


def test_frame_of_others_does_not_tell_who_was_excepted(world):
    wire = world.stream(f"identifiers=chat&listener={OTHER}")
    wire.frames()
    position = push(world, "x", event="created")
    frame = f'{{"type":"push","identifier":"chat","push_id":null,"event":"created","text":"x","position":{position}}}\n'
    assert wire.body() == frame.encode()
    replayed = world.poll("identifiers=chat:0").body()
    assert frame.encode() in replayed
    assert ME.encode() not in replayed


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_listen_frame_names_the_listener_too(world, transport):
    push(world, "x", push_id=1)
    wire = by_frame(world, transport, {"identifiers": {"chat": 0}}, listener=ME)
    assert texts(wire.frames()) == []


def test_page_that_listens_again_still_skips_its_pushes(world):
    wire = world.websocket()
    wire.listen({"identifiers": ["chat"]}, listener=ME)
    wire.listen({"identifiers": ["chat", "metrics"]}, listener=ME)
    wire.frames()
    push(world, "a")
    push(world, "b", None)
    assert texts(wire.frames()) == ["b"]


def test_secret_push_skips_the_named_listener(world):
    query = f"identifiers=chat&secureKey={secure_key('chat')}&listener="
    mine, others = (world.stream(query + name) for name in (ME, OTHER))
    mine.frames(), others.frames()
    push(world, secret=1)
    assert (texts(mine.frames()), texts(others.frames())) == ([], ["mine"])


def test_data_of_a_batch_skips_the_named_listener(world):
    body = [
        {"identifier": "chat", "secret": 0, "data": {"type": 1}, "except": ME},
        {"identifier": "chat", "secret": 0, "text": "b"},
    ]
    assert send(world, json.dumps(body), path=BATCH).status == 200
    for name, count in ((ME, 1), (OTHER, 2)):
        assert len(positions(world.stream(f"identifiers=chat:0&listener={name}").frames())) == count


def test_stalled_listener_skips_the_push_when_it_reads_again(world):
    wire = world.websocket(f"identifiers=chat&listener={ME}")
    wire.frames()
    wire.stop_reading()
    for number in range(20):
        push(world, f"{number} {'x' * 60_000}", ME if number % 2 else None)
    wire.read_again()
    world.settle()
    assert [text.split()[0] for text in texts(wire.frames())] == [str(number) for number in range(0, 20, 2)]


@pytest.mark.parametrize("kind", [FORM, JSON])
@pytest.mark.parametrize("excluded", ["", "short", "x" * 65, "has a space", "é" * 9, '0123456789"'])
def test_except_must_be_a_listener_id(world, kind, excluded):
    fields = {"text": "x", "secret": "0", "except": excluded}
    answer = send(world, json.dumps(fields) if kind == JSON else form(fields).decode(), kind=kind)
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert answer.json["detail"].startswith("except must be 8 to 64 of ")


def test_secure_does_not_cover_except(world):
    answer = push_fields(world, "chat", {"text": "x", "secret": "0", "except": ME, "secure": secure("chat", "x")})
    assert (answer.status, code_of(answer)) == (400, "invalid_parameter")
    assert "secure does not cover except" in answer.json["detail"]


def test_idempotency_key_covers_except(world):
    key = {"Idempotency-Key": "7c1f2b04"}
    bodies = [json.dumps({"text": "x", "secret": 0, **more}) for more in ({"except": ME}, {"except": OTHER}, {})]
    assert send(world, bodies[0], **key).status == 200
    assert send(world, bodies[0], **key).json["duplicate"] is True
    assert [send(world, body, **key).status for body in bodies[1:]] == [409, 409]


def test_case_of_a_listener_id_counts(world):
    push(world)
    assert heard(world, "stream", ME.upper()) == ["mine"]


# The number of listeners in the answer.


def reached(world, **more):
    answer = send(world, json.dumps({"text": "x", "secret": 0, **more}))
    world.settle()
    return answer.json["listeners"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_answer_does_not_count_the_named_listener(world, transport):
    query = f"identifiers=chat&position={world.clock()}&listener="
    mine, other = (by_query(world, transport, f"{query}{name}") for name in (ME, OTHER))
    assert reached(world, **{"except": ME}) == 1
    if transport == "poll":
        assert not mine.answered
        assert other.answered
        assert reached(world, **{"except": ME}) == 0
    else:
        assert texts(mine.frames()) == []
        assert texts(other.frames()) == ["x"]
        assert reached(world, **{"except": "nobody-here"}) == 2


def test_named_listener_that_wants_no_push_is_left_out_once(world):
    by_query(world, "websocket", f"identifiers=chat:5&listener={ME}")
    by_query(world, "websocket", f"identifiers=chat&listener={OTHER}")
    assert reached(world, push_id=5, **{"except": ME}) == 1
    assert reached(world, push_id=6, **{"except": ME}) == 1
    assert reached(world, push_id=6) == 2
    assert reached(world, secret=1, **{"except": ME}) == 0


def test_repeated_push_tells_the_same_number(world):
    by_query(world, "websocket", f"identifiers=chat&listener={ME}")
    by_query(world, "websocket", f"identifiers=chat&listener={OTHER}")
    body, key = json.dumps({"text": "x", "secret": 0, "except": ME}), {"Idempotency-Key": "7c1f2b04"}
    assert [send(world, body, **key).json["listeners"] for _ in range(2)] == [1, 1]


@pytest.mark.memory("it has a thousand listeners")
def test_named_listener_is_looked_for_among_a_thousand():
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=2000), heartbeat=200)
    for number in range(1000):
        by_query(world, "websocket", f"identifiers=chat&listener={ME if number == 500 else f'nr-{number:06d}'}")
    assert reached(world, **{"except": ME}) == 999
    by_query(world, "websocket", f"identifiers=chat&listener={OTHER}")
    assert reached(world, **{"except": ME}) == 1001
