"""Ends and changes: streams after a while, draining by SIGTERM, accounts by SIGHUP. The tests move the time."""

import pytest
from twisted.logger import capturedLogs

from cometify.app.drain import RESTART
from cometify.config.settings import Settings
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
    fields,
    kinds,
    post,
    push_fields,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import form, request_bytes, secure, secure_key

# Connections.


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"])
def test_idle_connection_is_closed_and_its_address_not_logged(world, begun):
    with capturedLogs() as events:
        wire = world.connect("192.0.2.7")
        wire.receive(begun)
        world.advance(62)
        assert wire.transport.disconnecting
    assert not [event for event in events if "192.0.2.7" in repr(event) or "Timing" in repr(event)]


# Streams.


@pytest.mark.parametrize("transport", ["stream", "events"])
def test_a_stream_ends_after_10_minutes(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    world.advance(599)
    assert not wire.transport.disconnecting
    world.advance(2)
    assert wire.transport.disconnecting
    assert wire.body().endswith(b'{"type":"(end)"}\n')


@pytest.mark.parametrize(("heartbeat", "offset"), [(25, 0.5), (300, 0.5), (7, 0.0), (300, 0.0), (240, 0.0)])
def test_stream_ends_after_10_minutes_with_any_heartbeat(heartbeat, offset):
    world = World(heartbeat=heartbeat)
    world.reactor.advance(offset)
    wire = by_query(world, "stream", "identifiers=chat")
    world.advance(602, step=0.25)
    assert wire.transport.disconnecting


@pytest.mark.parametrize("transport", ["stream", "events"])
def test_stream_ends_after_1_mib_and_can_be_resumed(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    seen, size = [], 0
    position = None
    for number in range(60):
        world.pushed("chat", f"{number:03}" + "x" * 30_000)
        frames = [frame for frame in wire.frames() if frame["type"] == "push"]
        seen += [frame["text"][:3] for frame in frames]
        size += sum(len(frame["text"]) for frame in frames)
        position = frames[-1]["position"] if frames else position
        if wire.transport.disconnecting:
            wire.lose()
            assert 900_000 < size < 1_200_000
            size = 0
            wire = by_query(world, transport, f"identifiers=chat&position={position}")
    assert seen == [f"{number:03}" for number in range(60)]


def test_a_replay_longer_than_1_mib_comes_in_several_streams(world):
    for number in range(60):
        world.pushed("chat", f"{number:03}" + "x" * 60_000)
    seen, streams = [], 0
    query = "identifiers=chat:0"
    while len(seen) < 60:
        wire = world.stream(query)
        world.advance(1, step=0.1)
        frames = wire.frames()
        assert wire.transport.disconnecting == (frames[-1]["type"] == "(end)")
        seen += [text[:3] for text in texts(frames)]
        streams += 1
        cursor = [frame["position"] for frame in frames if frame["type"] == "push"][-1]
        query = f"identifiers=chat:0&position={cursor}"
        wire.lose()
        assert streams < 10
    assert seen == [f"{number:03}" for number in range(60)]
    assert streams == 4


def test_a_websocket_does_not_end(world):
    wire = world.websocket("identifiers=chat")
    for _ in range(40):
        world.pushed("chat", "x" * 60_000)
        assert len(texts([frame for frame in wire.frames() if frame["type"] == "push"])) == 1
    world.advance(1200, step=5)
    assert set(kinds(wire.frames())) == {"heartbeat"}


# Draining.


@pytest.mark.parametrize("transport", OPEN)
def test_draining_tells_reconnect_and_ends(world, transport):
    wire = by_query(world, transport, "identifiers=chat")
    wire.frames()
    world.drain()
    frames = wire.frames()
    assert frames[0]["type"] == "reconnect"
    assert 0 <= frames[0]["after"] <= 10_000
    if transport == "websocket":
        assert frames[1:] == [{"type": "(close)", "code": 4200}]
    else:
        assert wire.transport.disconnecting
        assert transport == "events" or kinds(frames[1:]) == ["(end)"]


def test_draining_answers_waiting_polls(world):
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    world.drain()
    assert wire.head[0] == 200
    assert kinds(wire.frames()) == ["reconnect"]
    assert wire.transport.disconnecting, "the next poll must come by another connection"


def test_poll_that_comes_again_is_sent_away(world):
    wire = world.poll(f"identifiers=chat&position={world.clock()}")
    world.pushed("chat", "x")
    push = wire.answer().frames[0]
    world.drain()
    wire.receive(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={push['position']}"))
    answer = wire.answer()
    assert (answer.status, kinds(answer.frames)) == (200, ["reconnect"])
    assert wire.transport.disconnecting


def test_without_other_nodes_all_come_back_after_the_restart():
    world = World(drain=100)
    wires = [world.websocket("identifiers=chat", host=f"10.0.1.{number}") for number in range(200)]
    for wire in wires:
        wire.frames()
    world.drain()
    delays = [wire.frames()[0]["after"] for wire in wires]
    assert min(delays) >= RESTART, "the server cannot be there before"
    assert max(delays) <= RESTART + 1000
    assert max(delays) - min(delays) > 800, "they do not come at the same moment"


def test_pushes_before_a_drain_are_not_lost(world):
    wire = world.websocket("identifiers=chat")
    position = wire.frames()[-1]["position"]
    world.pushed("chat", "last")
    world.drain()
    frames = wire.frames()
    assert texts(frames) == ["last"]
    assert frames[0]["position"] > position


def test_silent_websocket_is_sent_away_by_a_drain(world):
    wire = world.websocket()
    assert wire.head[0] == 101
    world.drain()
    frames = wire.frames()
    assert frames[-1] == {"type": "(close)", "code": 4200}
    assert kinds(frames[:-1]) == ["reconnect"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_while_draining_nobody_joins(world, transport):
    world.drain()
    wire = by_query(world, transport, "identifiers=chat")
    if transport in ("stream", "poll"):
        assert int(wire.head[1]["retry-after"]) >= 1
    expected = {"websocket": 4200, "events": 200}.get(transport, 503)
    assert refusal(wire) == ("draining", expected)


def test_at_the_end_of_a_drain_nothing_is_pushed(world):
    world.drain()
    world.advance(1)
    wire = world.request("POST", f"/{API_KEY}/push/chat", form(fields("chat", "x")), Content_Type=FORM)
    assert int(wire.head[1]["retry-after"]) >= 1
    assert refusal(wire) == ("draining", 503)


@pytest.mark.memory("with Redis the pushes outlive the server")
def test_pushes_kept_in_memory_are_refused_from_the_beginning(world):
    world.websocket("identifiers=chat")
    world.server.drain()
    assert code_of(push_fields(world, "chat", fields("chat", "x"))) == "draining"


@pytest.mark.memory("with Redis it comes when the listener has come back")
def test_push_that_was_accepted_last_comes_before_reconnect():
    world = World()
    wire = world.websocket("identifiers=chat")
    wire.frames()
    request = request_bytes("POST", f"/{API_KEY}/push/chat", form(fields("chat", "last")), {"Content-Type": FORM})
    world.connect().transport.protocol.dataReceived(request)
    world.server.drain()
    world.settle()
    assert kinds(wire.frames()) == ["push", "reconnect", "(close)"]


@pytest.mark.parametrize("plain", [True, False])
def test_each_answer_of_a_draining_server_ends_its_connection(world, plain):
    wire = world.connect()
    more = {} if plain else {"TE": "trailers"}  # twisted.web reads this one
    request = request_bytes("POST", f"/{API_KEY}/push/chat", b"", {"Content-Type": FORM, **more})
    wire.receive(request)
    assert "connection" not in wire.answer().headers
    assert not wire.transport.disconnecting
    world.server.drain()
    wire.receive(request)
    assert wire.answer().headers["connection"] == "close"
    assert wire.transport.disconnecting


def test_draining_is_over_when_all_are_gone():
    world = World(drain=10)
    wire = world.websocket("identifiers=chat")
    ended = world.drain()
    world.advance(1)
    assert not ended
    wire.lose()
    world.advance(1)
    assert ended


def test_client_that_connected_last_is_answered():
    world = World(drain=10)
    wire = world.connect()
    ended = world.drain()
    world.advance(0.3, step=0.1)
    assert not ended
    wire.receive(request_bytes("GET", "/openapi.json"))
    assert wire.answer().status == 200
    wire.lose()
    world.advance(0.2, step=0.1)
    assert ended


def test_client_that_sends_no_request_is_not_waited_for():
    world = World(drain=10)
    world.connect()
    ended = world.drain()
    world.advance(1, step=0.1)
    assert ended


def test_draining_takes_drain_seconds_at_most():
    world = World(drain=3)
    world.websocket("identifiers=chat")
    ended = world.drain()
    world.advance(2)
    assert not ended
    world.advance(2)
    assert ended


# Accounts come, change and go.


def change(world: World, *accounts: Account) -> None:
    world.server.change_accounts(Settings(accounts))
    world.settle()


def account(*secrets: str, key: str = API_KEY, **more) -> Account:
    return Account(key, secrets, **more)


def test_an_account_comes(world):
    assert refusal(world.websocket("identifiers=chat", key="new")) == ("not_authorized", 4001)
    change(world, account(API_SECRET), account("s", key="new"))
    wire = world.websocket("identifiers=chat", key="new")
    wire.frames()
    body = form(fields("chat", "x", secure=secure("chat", "x", "new", "s")))
    assert post(world, "/new/push/chat", body).status == 200
    assert texts(wire.frames()) == ["x"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_removed_account_ends_its_listeners_and_no_others(transport):
    world = World(account(API_SECRET), account("s", key="other"))
    query = f"identifiers=chat&position={world.clock()}"
    gone, stays = by_query(world, transport, query), by_query(world, transport, query, key="other")
    if transport != "poll":
        gone.frames(), stays.frames()
    change(world, account("s", key="other"))
    if transport == "poll":
        assert refusal(gone) == ("not_authorized", 403)
        assert not stays.answered
    else:
        error = gone.frames()[0]
        assert (error["code"], error["retry"]) == ("not_authorized", None)
        assert stays.frames() == []
    body = form(fields("chat", "x", secure=secure("chat", "x", "other", "s")))
    assert post(world, "/other/push/chat", body).status == 200
    assert texts(stays.frames()) == ["x"]
    assert code_of(push_fields(world, "chat", fields("chat", "x"))) == "not_authorized"


def test_a_removed_account_closes_with_4001(world):
    wire = world.websocket("identifiers=chat")
    wire.frames()
    change(world, account("s", key="other"))
    assert refusal(wire) == ("not_authorized", 4001)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_revoked_secret_is_told_by_a_new_ready(transport):
    world = World(account("new", "old"))
    query = f"identifiers=chat&secureKey={secure_key('chat', secret='old')}&position={world.clock()}"
    wire = by_query(world, transport, query)
    if transport != "poll":
        assert wire.frames()[0]["secret"] == ["chat"]
    change(world, account("new"))
    frames = wire.frames()
    assert frames[0]["type"] == "ready"
    assert frames[0]["secret"] == []
    assert len(frames[0]["warnings"]) == 1
    if transport != "poll":
        wire.frames()
        signed = form(fields("chat", "x", secret="1", secure=secure("chat", "x", secret="new")))
        assert post(world, f"/{API_KEY}/push/chat", signed).status == 200
        assert texts(wire.frames()) == []
        signed = form(fields("chat", "y", secure=secure("chat", "y", secret="new")))
        post(world, f"/{API_KEY}/push/chat", signed)
        assert texts(wire.frames()) == ["y"]


def test_listener_with_the_secret_that_stays_is_told_nothing():
    world = World(account("new", "old"))
    keyed = world.websocket(f"identifiers=chat&secureKey={secure_key('chat', secret='new')}")
    plain = world.websocket("identifiers=chat")
    keyed.frames(), plain.frames()
    change(world, account("new"))
    assert keyed.frames() == plain.frames() == []


def test_a_secret_that_comes_gives_its_right():
    world = World(account("old"))
    wire = world.websocket(f"identifiers=chat&secureKey={secure_key('chat', secret='new')}")
    assert wire.frames()[0]["secret"] == []
    change(world, account("new", "old"))
    ready = wire.frames()[0]
    assert (ready["type"], ready["secret"], ready["warnings"]) == ("ready", ["chat"], [])


def test_no_push_is_lost_or_repeated_when_a_secret_changes():
    world = World(account("new", "old"))
    wire = world.websocket(f"identifiers=chat:0&secureKey={secure_key('chat', secret='old')}")
    wire.frames()

    def push(text):
        post(world, f"/{API_KEY}/push/chat", form(fields("chat", text, secure=secure("chat", text, secret="new"))))

    push("one")
    change(world, account("new"))
    push("two")
    assert texts(wire.frames()) == ["one", "two"]


def test_a_revoked_secret_opens_nothing_by_a_later_listen_either():
    world = World(account("new", "old"))
    group = {"identifiers": ["chat"], "secureKey": secure_key("chat", secret="old")}
    wire = by_frame(world, "websocket", group)
    assert wire.frames()[0]["secret"] == ["chat"]
    change(world, account("new"))
    assert wire.frames()[0]["secret"] == []
    wire.listen(group)
    assert wire.frames()[0]["secret"] == []


def test_a_secret_that_came_is_known_to_a_later_listen():
    world = World(account("old"))
    wire = by_frame(world, "websocket", {"identifiers": ["chat"]})
    wire.frames()
    change(world, account("new", "old"))
    wire.listen({"identifiers": ["chat"], "secureKey": secure_key("chat", secret="new")})
    assert wire.frames()[0]["secret"] == ["chat"]


def test_silent_websocket_of_a_removed_account_cannot_listen():
    world = World(account(API_SECRET))
    wire = world.websocket()
    assert wire.head[0] == 101
    change(world, account("s", key="other"))
    wire.listen({"identifiers": ["chat"]})
    assert refusal(wire) == ("not_authorized", 4001)


def test_a_changed_limit_holds_from_then_on(world):
    assert kinds(world.websocket("identifiers=chat").frames())[0] == "ready"
    change(world, account(API_SECRET, listeners_per_ip=1))
    assert refusal(world.websocket("identifiers=chat")) == ("too_many_listeners", 4101)
    change(world, account(API_SECRET, listeners_per_ip=2))
    assert kinds(world.websocket("identifiers=chat").frames())[0] == "ready"


def test_changed_origins_hold_from_then_on(world):
    change(world, account(API_SECRET, origins=("https://www.example.org",)))
    wire = world.websocket("identifiers=chat", Origin="https://other.example")
    assert refusal(wire) == ("origin_not_allowed", 4003)


def test_kept_pushes_stay_when_an_account_changes(world):
    at = world.pushed("chat", "one")
    change(world, account(API_SECRET, "another"))
    assert texts(world.poll(f"identifiers=chat&position={at - 1}").frames()) == ["one"]


@pytest.mark.memory("with Redis it has not joined by then, and joins with the secrets as they are")
def test_changed_secret_interrupts_no_replay():
    world = World(account("new", "old"))

    def push(text):
        post(world, f"/{API_KEY}/push/chat", form(fields("chat", text, secure=secure("chat", text, secret="new"))))

    for number in range(30):
        push(f"{number:02}" + "x" * 10_000)
    wire = world.connect()
    key = secure_key("chat", secret="old")
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat:0&secureKey={key}"))
    world.reactor.advance(0)
    change(world, account("new"))
    world.advance(1)
    frames = wire.frames()
    assert [text[:2] for text in texts(frames)] == [f"{number:02}" for number in range(30)]
    assert kinds(frames).count("ready") == 2
