"""Several nodes are one service: one order, no hole and no repeat, wherever the session with Redis is lost."""

import pytest

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.read_batch import MOST_READ
from tests.contract.support import gaps, kinds, positions, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World

NAMES = ("chat", "metrics", "tweets")


def test_all_nodes_give_the_same_order(nodes):
    wires = [
        joined(world.websocket("identifiers=" + ",".join(names))) for world in nodes for names in (NAMES, NAMES[::-1])
    ]
    pushed = [nodes[number % 2].pushed(NAMES[number % 3], str(number)) for number in range(30)]
    nodes.settle()
    heard = [wire.frames() for wire in wires]
    assert pushed == sorted(set(pushed))
    assert [texts(frames) for frames in heard] == [[str(number) for number in range(30)]] * 4
    assert [positions(frames) for frames in heard] == [pushed] * 4


@pytest.mark.parametrize("text", ["007", "0", "-1", "1e5", "", " ", "\n", "\r\n+OK\r\n", "$-1\r\n", "\x01" * 65_536,
                                  "é" * 32_768, '"\\', "a b c 1 2", "{}", "\u2028"])  # fmt: skip
def test_text_goes_over_redis_unchanged(nodes, text):
    wire = joined(nodes[1].websocket("identifiers=chat"))
    nodes[0].pushed("chat", text, push_id=2**63 - 1)
    nodes.settle()
    assert texts(wire.frames()) == [text]
    later = World(beside=nodes[0])
    _ready, push, _beat = later.poll("identifiers=chat:0").frames()
    assert (push["text"], push["push_id"]) == (text, str(2**63 - 1))


def test_older_cursor_during_pushes_gets_each_once_in_order(nodes):
    first, second = nodes
    start = first.clock()
    made = [f"old {number}" for number in range(5)]
    for text in made:
        second.pushed("chat", text)
    at_the_head = joined(first.websocket("identifiers=chat"))
    live = []
    deeper = []
    for back in range(4):
        wire = first.connect()
        wire.transport.protocol.dataReceived(
            f"GET /37282591/stream?identifiers=chat&position={start + back - 1} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        for step in range(8):
            text = f"live {back} {step}"
            live.append(text)
            second.pushed("chat", text)
            first.reactor.advance(0)
            first.reactor.pump()
        nodes.settle()
        deeper.append((wire, back))
    assert texts(at_the_head.frames()) == live
    for wire, back in deeper:
        frames = wire.frames()
        assert gaps(frames) == []
        assert texts(frames) == [*made, *live][back:]


def conversation(nodes: Nodes) -> list[str]:
    """Everything that a cut can interrupt: a join, a join with an older cursor, pushes, beats. Returns the pushed texts."""
    first, second = nodes
    made = []

    def push(name: str) -> None:
        made.append(str(second.clock()) + name)
        second.pushed(name, made[-1])

    push("chat")
    late = first.websocket(f"identifiers=tweets,chat&position={first.clock() - 5_000_000}")
    push("metrics")
    push("chat")
    late.lose()
    nodes.advance(1)
    for name in ("tweets", "metrics", "tweets", "chat", "metrics"):
        push(name)
    nodes.advance(1)
    return made


def test_cut_at_any_byte_loses_and_doubles_nothing(nodes):
    first, second = nodes
    listeners = {
        "websocket": joined(first.websocket("identifiers=chat,metrics,tweets")),
        "with internal ids": joined(first.websocket("identifiers=metrics:0,chat:0,tweets:0")),
        "elsewhere": joined(second.websocket("identifiers=chat,metrics,tweets")),
    }
    before = sum(transport.received for transport in first.reactor.transports)
    conversation(nodes)
    whole = sum(transport.received for transport in first.reactor.transports) - before
    assert whole > 1000
    for wire in listeners.values():
        wire.frames()
    cuts = 0
    for left in range(1, whole, 17):
        first.reactor.left = left
        made = conversation(nodes)
        cuts += first.reactor.left is None
        first.reactor.left = None
        nodes.find()
        nodes.advance(1)
        for name, wire in listeners.items():
            frames = [frame for frame in wire.frames() if frame["type"] != "heartbeat"]
            assert texts(frames) == made, (left, name)
            assert positions(frames) == sorted(set(positions(frames)))
            assert kinds(frames) == ["push"] * len(made), (left, name)
    assert cuts > 90


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_pushes_during_catching_up_keep_their_order(nodes, turns):
    """With more identifiers than one script reads. Those that are read first get pushes before the others are read."""
    first, second = nodes
    many = [f"name{number}" for number in range(2 * MOST_READ + 3)]
    wires = [
        joined(getattr(first, transport)("identifiers=" + ",".join(many))) for transport in ("websocket", "stream")
    ]
    made = []
    for _ in range(4):
        second.pushed(many[-1], made.append(f"text {len(made)}") or made[-1])
        nodes.settle()
        first.reactor.transports[0].lose()
        for step in range(150):
            first.reactor.advance(0.02 if step % turns == 0 else 0)
            first.reactor.pump()
            if step % 2:
                second.pushed(many[-step % len(many)], made.append(f"text {len(made)}") or made[-1])
        nodes.find()
        nodes.advance(1)
    for wire in wires:
        frames = [frame for frame in wire.frames() if frame["type"] != "heartbeat"]
        assert kinds(frames) == ["push"] * len(made)
        assert texts(frames) == made
        assert positions(frames) == sorted(set(positions(frames)))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_large_answers_are_read_in_parts(nodes, monkeypatch, turns):
    """A script stops everybody else, so it stops reading after some bytes. Pushes come between the parts."""
    monkeypatch.setattr("cometify.engine.redis.reader.MOST_BYTES", 2500)
    read, take = [], AccountState.take_read
    monkeypatch.setattr(AccountState, "take_read", lambda *given: read.append(take(*given)) or read[-1])
    first, second = nodes
    names = [f"name{number}" for number in range(MOST_READ - 1)]
    made = [f"{name} {number} {'x' * 60}" for number in range(10) for name in names]
    for text in made:
        second.pushed(text.split()[0], text)
    nodes.settle()
    wire = first.websocket("identifiers=" + ",".join(f"{name}:0" for name in names))
    for step in range(100):
        first.reactor.advance(0.02 if step % turns == 0 else 0)
        first.reactor.pump()
        if step < 40:
            second.pushed(names[-1 - step % len(names)], made.append(f"meanwhile {step}") or made[-1])
    nodes.advance(1)
    # An identifier has about 1,500 bytes, so the second one of a part is its last.
    assert read[:4] == [2, 2, 2, 1]
    frames = [frame for frame in wire.frames() if frame["type"] == "push"]
    assert texts(frames) == made
    assert positions(frames) == sorted(set(positions(frames)))


def test_watermark_of_an_unknown_account_is_ignored(nodes):
    """An account that is quiet for a day is forgotten, and a message about it can be on its way."""
    wire = joined(nodes[0].websocket("identifiers=chat"))
    for channel in nodes.command("PUBSUB", "CHANNELS", f"cometify:{nodes[0].database}:node:*"):
        for text in ("forgotten 0 1 2", "nothing", "\xff 1"):
            nodes.command("PUBLISH", channel, text)
    nodes.settle()
    assert nodes[0].server.engine.available
    nodes[1].pushed("chat", "still there")
    nodes.settle()
    assert texts(wire.frames()) == ["still there"]


@pytest.mark.parametrize("ahead", [5, 0])
def test_push_behind_a_hole_is_read_and_not_taken(nodes, ahead):
    """The push names a push before it that was not heard, or it is not above the last one."""
    first, second = nodes
    wire = joined(first.websocket("identifiers=chat"))
    position = second.pushed("chat", "one")
    nodes.settle()
    head = b'{"type":"push","identifier":"chat","push_id":null,"text":"forged","position":'
    text = b"%d %d %d 0 - %b" % (position - 1000, position + ahead, position + ahead, head)
    nodes.command("PUBLISH", f"cometify:{first.database}:{{37282591}}:chat", text)
    second.pushed("chat", "two")
    nodes.settle()
    nodes.find()
    nodes.advance(1)
    frames = wire.frames()
    assert (gaps(frames), texts(frames)) == ([], ["one", "two"])


def test_push_below_the_watermark_is_a_gap(nodes):
    """A replica was promoted. Its clock is behind, and it lacks the last watermark."""
    first, second = nodes
    wire = joined(first.websocket("identifiers=chat"))
    position = second.pushed("chat", "one")
    nodes.advance(3)
    head = b'{"type":"push","identifier":"chat","push_id":null,"text":"late","position":'
    text = b"%d %d %d 0 - %b" % (position - 1000, position, position + 1000, head)
    nodes.command("PUBLISH", f"cometify:{first.database}:{{37282591}}:chat", text)
    nodes.settle()
    nodes.find()
    nodes.advance(1)
    second.pushed("chat", "two")
    nodes.settle()
    frames = wire.frames()
    assert (gaps(frames), texts(frames)) == ([["chat"]], ["one", "two"])


def test_join_without_redis_is_refused_and_may_come_again(nodes):
    first, second = nodes
    nodes.cut(first)
    wire = first.websocket("identifiers=chat")
    error, close = wire.frames()
    assert (error["code"], error["retry"] > 0, close["code"]) == ("engine_unavailable", True, 4100)
    answer = first.push("chat", "x")
    assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert first.admin("GET", "/health/ready").status == 503
    assert first.admin("GET", "/health/live").status == 200
    assert second.push("chat", "x").status == 200
    nodes.find()
    assert first.admin("GET", "/health/ready").status == 200
    joined(first.websocket("identifiers=chat"))


@pytest.mark.parametrize("at", range(12))
def test_scripts_that_redis_forgot_are_sent_again(nodes, at):
    first, second = nodes
    wire = joined(first.websocket("identifiers=chat"))
    later = first.connect()
    later.transport.protocol.dataReceived(
        f"GET /37282591/stream?identifiers=metrics&position={first.clock() - 1} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    for step in range(12):
        if step == at:
            nodes.command("SCRIPT", "FLUSH")
        first.reactor.advance(0.25)
        first.reactor.pump()
    pushed = [first.push("chat", "one"), second.push("chat", "two"), second.push("metrics", "three")]
    nodes.settle()
    assert [answer.status for answer in pushed] == [200] * 3
    assert texts(wire.frames()) == ["one", "two"]
    frames = later.frames()
    assert (gaps(frames), texts(frames)) == ([], ["three"])
