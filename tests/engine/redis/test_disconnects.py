"""A disconnect reaches every node, also one that was out of touch, and a revoked token joins nowhere."""

import json
from math import inf

import pytest

from cometify.core.revocation import KEPT, Disconnect
from cometify.engine.redis.revocations import MOST_READ, AccountRevocations
from cometify.runtime.slices import STEP
from tests.engine.redis.nodes import Nodes, half_joined
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, jwt, request_bytes, seal

PATH = f"/{API_KEY}/disconnect"
REVOKED = f"cometify:{{{API_KEY}}}:revoked"


def token(world, subject="user_7", issued=0.0):
    wall = world.wall()
    return jwt({"exp": wall + 3600, "iat": int(wall + issued), "identifiers": ["chat"], "sub": subject})


def listen(world, made, **more):
    wire = world.websocket(f"identifiers=chat&token={made}", **more)
    assert [frame["type"] for frame in wire.frames()] == ["ready", "heartbeat"]
    return wire


def ask(world, body=None, **whom):
    """Send the request, and let only this node see to it."""
    data = body or json.dumps(whom).encode()
    wire = world.connect("127.0.0.1")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}"}
    wire.receive(request_bytes("POST", PATH, data, headers))
    return wire


def disconnected(nodes, index=0, **whom):
    wire = ask(nodes[index], **whom)
    nodes.settle()
    answer = wire.answer()
    assert answer.status == 200, answer
    return answer.json["disconnected"]


def ended_with(wire):
    return [frame["code"] for frame in wire.frames() if frame["type"] == "error"]


def joins(world, made):
    """None if a listener joins, else the code of its refusal."""
    wire = world.stream(f"identifiers=chat&token={made}")
    return None if wire.head[0] == 200 else wire.answer().json["code"]


@pytest.mark.parametrize("asked", [0, 1])
def test_connections_end_and_are_counted_on_all_nodes(nodes, asked):
    made = token(nodes[0])
    wires = [listen(nodes[0], made), listen(nodes[1], made), listen(nodes[1], made)]
    other = listen(nodes[1], token(nodes[0], "user_8"))
    assert disconnected(nodes, asked, subject="user_7") == 3
    assert [ended_with(wire) for wire in wires] == [["not_authorized"]] * 3
    assert ended_with(other) == []
    assert [joins(world, made) for world in nodes] == ["invalid_token"] * 2
    nodes.advance(1)
    assert [joins(world, token(world)) for world in nodes] == [None] * 2


def test_listener_id_is_disconnected_at_another_node(nodes):
    wire = nodes[1].websocket("identifiers=chat&listener=me-0123456")
    wire.frames()
    assert disconnected(nodes, listener="me-0123456") == 1
    assert ended_with(wire) == ["not_authorized"]
    assert nodes.command("EXISTS", REVOKED) == 0


def test_node_without_the_account_learns_at_its_first_join(nodes):
    made = token(nodes[0])
    disconnected(nodes, subject="user_7")
    assert joins(nodes[1], made) == "invalid_token"


def test_node_out_of_touch_ends_its_listener_when_it_is_back(nodes):
    made = token(nodes[0])
    wire, other = listen(nodes[1], made), listen(nodes[1], token(nodes[0], "user_8"))
    nodes.cut(nodes[1])
    assert disconnected(nodes, subject="user_7") == 0
    assert ended_with(wire) == []
    nodes.find()
    newer = listen(nodes[1], token(nodes[1], issued=3))
    assert joins(nodes[1], made) == "invalid_token"
    nodes.advance(1.5)
    assert ended_with(wire) == ["not_authorized"]
    assert ended_with(other) == ended_with(newer) == []


@pytest.mark.parametrize("many", [1, MOST_READ + 1])
def test_node_that_is_back_sends_no_later_push_to_the_visitor(nodes, many):
    subject = f"user_{many - 1}"
    wire = listen(nodes[1], token(nodes[0], subject, issued=-5))
    other = listen(nodes[1], token(nodes[0], "somebody"))
    nodes.cut(nodes[1])
    for number in range(many):
        disconnected(nodes, subject=f"user_{number}")
    nodes[0].push("chat", "not for the visitor", 1)
    nodes.settle()
    nodes.find()
    frames = wire.frames()
    assert [frame["type"] for frame in frames if frame["type"] != "heartbeat"] == ["error", "(close)"]
    assert frames[-2]["code"] == "not_authorized"
    assert [frame["text"] for frame in other.frames() if frame["type"] == "push"] == ["not for the visitor"]


def test_node_that_is_back_ends_all_connections_of_the_visitor_first(nodes):
    """More connections than one step of sliced work ends, and a subject behind them."""
    wires = [listen(nodes[1], token(nodes[0], "team", issued=-5), host=f"10.0.{n // 20}.9") for n in range(3 * STEP)]
    wires.append(listen(nodes[1], token(nodes[0], "user_7", issued=-5)))
    nodes.cut(nodes[1])
    disconnected(nodes, subject="team")
    disconnected(nodes, subject="user_7")
    nodes[0].push("chat", "not for the team", 1)
    nodes.settle()
    nodes.find()
    nodes.advance(2)
    heard = [frame.get("text") for wire in wires for frame in wire.frames() if frame["type"] in {"push", "(close)"}]
    assert heard == [None] * len(wires)


def test_two_disconnects_in_one_moment_are_told_apart(nodes):
    disconnected(nodes, subject="user_8")
    wire = listen(nodes[1], token(nodes[0]))  # its read brings the first one
    nodes.cut(nodes[1])
    disconnected(nodes, subject="user_7")
    nodes.find()
    nodes.advance(1.5)
    assert ended_with(wire) == ["not_authorized"]


def test_emptied_redis_whose_clock_is_behind_is_read_too(nodes):
    disconnected(nodes, subject="user_8")
    wire = listen(nodes[1], token(nodes[0]))
    listen(nodes[0], token(nodes[0]), host="10.0.0.9")
    nodes.cut(nodes[1])
    nodes.command("FLUSHDB")
    for world in nodes:
        world.skew -= 3_600_000_000
    disconnected(nodes, subject="user_7")
    nodes.find()
    nodes.advance(1.5)
    assert ended_with(wire) == ["not_authorized"]


def test_node_with_listeners_forgets_after_31_days(nodes):
    listen(nodes[0], token(nodes[0], "user_8"))
    made = jwt({"exp": nodes[0].wall() + 10**7, "iat": nodes[0].wall(), "identifiers": ["chat"], "sub": "user_7"})
    disconnected(nodes, subject="user_7")
    wire = nodes[0].websocket("identifiers=chat")
    wire.frames()
    for seconds, code in ((KEPT - 60, "invalid_token"), (70, None)):
        nodes.jump(seconds)
        nodes.find()
        nodes.advance(6)
        assert joins(nodes[0], made) == code
    assert ended_with(wire) == []


def test_listener_that_is_still_joining_is_not_disconnected_by_id(nodes):
    wire = half_joined(nodes[0], "stream", "identifiers=chat&listener=me-0123456", 0)
    counts = []
    # As if the question came in this very moment, when Redis has not been asked yet.
    heard = nodes[0].server.membership._disconnects.disconnect(API_KEY, Disconnect(listener="me-0123456"), inf)
    heard.addCallback(counts.append)
    nodes.settle()
    assert counts == [0]
    assert [frame["type"] for frame in wire.frames()] == ["ready", "heartbeat"]


def test_missed_message_is_made_up_for_by_the_next_beat(nodes):
    made = token(nodes[0])
    wire = listen(nodes[1], made)
    nodes.advance(2)
    # Redis keeps a revocation, and its message reaches nobody.
    nodes.command("ZADD", REVOKED, nodes[0].clock(), f"{int(nodes[0].wall()) + 1} user_7")
    nodes.advance(2.5)
    assert ended_with(wire) == ["not_authorized"]
    assert [joins(world, made) for world in nodes] == ["invalid_token"] * 2


def test_node_that_does_not_answer_is_not_waited_for_long(nodes):
    made = token(nodes[0])
    here, there = listen(nodes[0], made), listen(nodes[1], made)
    wire = ask(nodes[0], subject="user_7")
    assert not wire.answered
    nodes[0].reactor.advance(0.9)
    nodes[0].settle()
    assert not wire.answered
    nodes[0].reactor.advance(0.2)
    nodes[0].settle()
    assert wire.answer().json == {"disconnected": 1}
    nodes.settle()  # its late answer is for nobody
    assert [ended_with(one) for one in (here, there)] == [["not_authorized"]] * 2


def test_redis_that_is_away_disconnects_nobody(nodes):
    made = token(nodes[0])
    wires = [listen(world, made) for world in nodes]
    nodes.cut(nodes[0])
    assert not nodes[0].server.engine.available
    body = b'{"subject":"user_7"}'
    signed = seal(PATH, body, nodes[0].wall(), "disconnect-000001", kind="application/json")

    def send():
        wire = nodes[0].connect()
        wire.transport.protocol.dataReceived(request_bytes("POST", PATH, body, signed))
        return wire

    refused = send()
    nodes.settle()
    answer = refused.answer()
    assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    nodes.find()
    nodes.advance(2)
    assert [ended_with(wire) for wire in wires] == [[]] * 2
    assert nodes.command("EXISTS", REVOKED) == 0
    assert [joins(world, made) for world in nodes] == [None] * 2
    again = send()  # its nonce was not used up
    nodes.settle()
    assert again.answer().status == 200


def test_lost_answer_of_redis_is_told_as_perhaps(nodes):
    wire = nodes[0].connect("127.0.0.1")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}"}
    wire.transport.protocol.dataReceived(request_bytes("POST", PATH, b'{"subject":"user_7"}', headers))
    nodes.cut(nodes[0])
    answer = wire.answer()
    assert answer.status == 503
    assert "some may have been disconnected" in answer.json["detail"]


def test_broken_key_of_one_account_refuses_its_disconnects_alone(nodes):
    nodes.command("SET", REVOKED, "x")
    wire = ask(nodes[0], subject="user_7")
    nodes.settle()
    assert wire.answer().status == 503
    assert nodes[0].server.engine.available


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("transport", ["stream", "poll"])
def test_listener_that_joins_meanwhile_is_refused_or_ended(nodes, turns, transport):
    made = token(nodes[0])
    wire = nodes[1].connect()
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/{transport}?identifiers=chat&token={made}"))
    for _ in range(turns):
        nodes[1].reactor.advance(0)
        nodes[1].reactor.pump()
    asked = ask(nodes[0], subject="user_7")
    nodes.settle()
    assert asked.answer().status == 200
    if wire.head[0] == 200:  # a poll was answered before, with its `ready`
        assert ended_with(wire) == ["not_authorized"] * (transport == "stream")
    else:
        assert wire.answer().json["code"] in ("invalid_token", "not_authorized")
    nodes.advance(11)
    assert len(nodes[1].server.membership) == 0


def test_emptied_redis_forgets_and_the_nodes_remember(nodes):
    made = token(nodes[0])
    listen(nodes[0], token(nodes[0], "user_8")), listen(nodes[1], token(nodes[0], "user_8"))
    disconnected(nodes, subject="user_7")
    nodes.command("FLUSHDB")
    nodes.advance(2)
    assert [joins(world, made) for world in nodes] == ["invalid_token"] * 2
    assert disconnected(nodes, subject="user_9") == 0
    newcomer = token(nodes[0], "user_9", issued=-5)
    nodes.advance(2)
    assert [joins(world, newcomer) for world in nodes] == ["invalid_token"] * 2


def test_redis_keeps_a_bounded_number_for_31_days(nodes):
    now = nodes[0].clock()
    month = 31 * 86400 * 1_000_000
    rows = [part for number in range(10_005) for part in (now - 1_000_000 + number, f"1 user_{number}")]
    nodes.command("ZADD", REVOKED, *rows)
    disconnected(nodes, subject="user_x")
    assert nodes.command("ZCARD", REVOKED) == 10_000
    assert nodes.command("ZSCORE", REVOKED, "1 user_5") is None
    assert nodes.command("ZSCORE", REVOKED, "1 user_6") is not None
    assert 0 < nodes.command("TTL", REVOKED) <= 31 * 86400
    nodes.command("DEL", REVOKED)
    nodes.command("ZADD", REVOKED, now - month - 1, "1 old", now - month + 60_000_000, "2 kept")
    disconnected(nodes, subject="user_x")
    assert nodes.command("ZCARD", REVOKED) == 2
    assert nodes.command("ZSCORE", REVOKED, "1 old") is None


def test_first_read_of_many_revocations_goes_in_bounded_steps(nodes):
    """Nobody joins before the last of them was read. Each turn reads some."""
    world, many = nodes[1], 3 * MOST_READ + 7
    now = world.clock()
    names = [f"user_{number}" for number in range(many)]
    rows = [part for number, name in enumerate(names) for part in (now - many + number, f"{int(world.wall())} {name}")]
    nodes.command("ZADD", REVOKED, *rows)
    wire = half_joined(world, "stream", f"identifiers=chat&token={token(world, names[-1], issued=-5)}", 0)
    known = [0]
    while not wire.answered:
        world.reactor.advance(0)
        world.reactor.pump()
        known.append(sum(world.server.engine.revoked_at(API_KEY, name) > 0 for name in names))
        assert known[-1] - known[-2] <= MOST_READ
    assert known[-1] == many
    assert wire.answer().json["code"] == "invalid_token"


def test_only_reads_after_the_first_end_connections():
    """Before the first read is whole the node has no listener of the account."""
    learned = []
    revocations = AccountRevocations(lambda new, is_late: learned.append((new, is_late)))
    rows = [part for number in range(MOST_READ + 2) for part in (b"9 user_%d" % number, b"%d" % number)]
    for part in (rows[: 2 * MOST_READ], rows[2 * MOST_READ : -2]):
        revocations.take_read(part)
    assert learned == []
    revocations.take_read(rows[-2:])
    assert learned == [([(f"user_{MOST_READ + 1}", 9)], False)]


@pytest.mark.parametrize("many", [MOST_READ - 1, MOST_READ, MOST_READ + 1])
def test_revocations_missed_meanwhile_are_all_read(nodes, many):
    wire = listen(nodes[1], token(nodes[0], f"user_{many - 1}", issued=-5))
    nodes.cut(nodes[1])
    now, wall = nodes[0].clock(), int(nodes[0].wall())
    rows = [part for number in range(many) for part in (now + number, f"{wall} user_{number}")]
    nodes.command("ZADD", REVOKED, *rows)
    nodes.find()
    nodes.advance(1.5)
    assert ended_with(wire) == ["not_authorized"]


def test_request_that_comes_before_redis_waits_for_it(moved_redis):
    World.redis = moved_redis
    world = World(began=0)
    another = World(beside=world)
    nodes = Nodes.__new__(Nodes)
    nodes.worlds = [world, another]
    assert disconnected(nodes, 1, subject="user_7") == 0
    World.end_all()
    moved_redis.command("FLUSHALL")
