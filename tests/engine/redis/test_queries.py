"""The lists of a back end over several nodes: listeners are counted on all of them, and what is kept is read in parts."""

import json
import random
import re

import pytest

from cometify.core.account import Account
from cometify.core.push_page import MOST_BYTES, AskedPushes, has_gap, page_of
from cometify.engine.redis import queries
from cometify.engine.redis.announcements import read_entries
from cometify.engine.redis.queries import PORTION
from cometify.engine.redis.scripts import PUSHES
from tests.contract.test_lists import BEARER, pushes
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, request_bytes, seal, secure_key

NAME = f"cometify:{{{API_KEY}}}"
NAMES = f"{NAME}:names"


def begin(world, path="", headers=BEARER):
    """Send a question that only this node answers."""
    wire = world.connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{API_KEY}/identifiers{path}", None, headers))
    return wire


def ask(nodes, path="", index=0):
    wire = begin(nodes[index], path)
    nodes.settle()
    answer = wire.answer()
    assert answer.status == 200, answer
    return answer.json


def listed(nodes, query="", index=0):
    return {row["identifier"]: (row["listeners"], row["kept"]) for row in ask(nodes, query, index)["identifiers"]}


def listen(world, names, **more):
    wire = world.websocket(f"identifiers={names}", **more)
    wire.frames()
    return wire


@pytest.mark.parametrize("asked", [0, 1])
def test_listeners_of_all_nodes_are_counted(nodes, asked):
    key = secure_key("chat", "orders")
    listen(nodes[0], f"chat,orders&secureKey={key}")
    gone = [listen(nodes[1], "chat", host=f"10.0.1.{number}") for number in range(3)]
    nodes[1].stream("identifiers=metrics")
    nodes[0].pushed("news", "x")
    nodes.settle()
    expected = {"chat": (4, 0), "metrics": (1, 0), "news": (0, 1), "orders": (1, 0)}
    found = listed(nodes, "?after=a", asked)
    assert {name: found[name] for name in expected} == expected
    details = ask(nodes, "/chat", asked)
    assert (details["listeners"], details["secret_listeners"]) == (4, 1)
    assert details["transports"] == {"websocket": 4, "stream": 0, "events": 0, "poll": 0}
    assert ask(nodes, "/metrics", asked)["transports"]["stream"] == 1
    for wire in gone:
        wire.lose()
    assert listed(nodes, "", asked)["chat"] == (1, 0)


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_pages_over_nodes_have_each_identifier_once(nodes, limit):
    chance = random.Random(limit)
    names = sorted({f"n{chance.randrange(1000)}" for _ in range(30)})
    expected = {}
    for number, name in enumerate(names):
        on = [chance.random() < 0.5 for _ in range(3)]
        if not any(on):
            continue
        expected[name] = (on[0] + on[1], int(on[2]))
        for index in (0, 1):
            if on[index]:
                listen(nodes[index], name, host=f"10.{index}.{number}.1")
        if on[2]:
            nodes[0].pushed(name, "x")
    nodes.settle()
    found, after = {}, ""
    while after is not None:
        wire = begin(nodes[0], f"?prefix=n&limit={limit}&after={after}")
        nodes.settle()
        page = wire.answer().json
        assert len(page["identifiers"]) <= limit
        for row in page["identifiers"]:
            assert row["identifier"] not in found
            found[row["identifier"]] = row["listeners"], row["kept"]
        after = page["next"]
    assert found == expected


def test_node_that_does_not_answer_is_not_waited_for_long(nodes):
    listen(nodes[0], "chat")
    listen(nodes[1], "chat")
    wire = begin(nodes[0], "/chat")
    nodes[0].reactor.advance(0.9)
    nodes[0].settle()
    assert not wire.answered
    nodes[0].reactor.advance(0.2)
    nodes[0].settle()
    assert wire.answer().json["listeners"] == 1
    nodes.settle()  # its late answer is for nobody


def test_nothing_is_published_while_nobody_asks(nodes):
    listen(nodes[0], "chat")
    nodes.advance(2)
    heard = {}
    for world in nodes:
        own = world.server.engine.queries
        heard[own] = []
        before = own.heard
        own.heard = lambda text, own=own, before=before: (heard[own].append(text), before(text))
    nodes.advance(20)
    assert list(heard.values()) == [[], []]
    ask(nodes, "/chat")
    assert [len(texts) for texts in heard.values()] == [3, 1]  # a question each, and the answers of both


def test_version_without_questions_ignores_them(nodes):
    """It handles only texts that begin with an exclamation mark on the channel of all nodes."""
    subscriber = nodes[1].server.engine._subscriber
    subscriber.heard(f"cometify:{nodes[1].database}:nodes".encode(), b'@?["1","x","37282591","one","chat"]')
    assert nodes[1].server.engine.available


# What is kept.


def test_names_in_redis_are_those_with_kept_pushes(nodes):
    chance = random.Random(1)
    account = Account(API_KEY, (API_SECRET,), buffer_pushes=2, buffer_bytes=400, keep_bytes=1500)
    for world in nodes:
        world.server.change_accounts(world.server.settings.__class__((account,)))
    for number in range(150):
        nodes[number % 2].pushed(f"n{chance.randrange(40)}", "x" * chance.choice([1, 1, 90, 500]), chance.randrange(2))
        if number % 10 == 0:
            nodes.advance(chance.choice([0.1, 30.0]), step=2.0)
        kept = {
            key.decode().rpartition(":")[2]
            for kind in ("public", "secret")
            for key in nodes.command("KEYS", f"{NAME}:{kind}:*")
        }
        assert {name.decode() for name in nodes.command("ZRANGE", NAMES, 0, -1)} >= kept
        assert set(listed(nodes, "?limit=1000")) == kept


def test_names_whose_pushes_have_expired_are_forgotten(nodes):
    nodes[0].pushed("chat", "x")
    nodes.jump(730)
    nodes.find()
    assert nodes.command("ZRANGE", NAMES, 0, -1) != []
    assert listed(nodes) == {}
    assert nodes.command("EXISTS", NAMES) == 0


def test_names_that_an_older_version_left_out_come_in(nodes):
    nodes[0].pushed("chat", "from a version without the index")
    nodes.command("DEL", NAMES)
    nodes.advance(61.0, step=2.0)
    nodes[0].pushed("chat", "from this version")
    assert nodes.command("ZRANGE", NAMES, 0, -1) == [b"chat"]


def test_index_of_names_ends_with_its_account(nodes):
    nodes[0].pushed("chat", "x")
    assert 0 < nodes.command("TTL", NAMES) <= 87_120


def test_page_full_of_expired_names_is_short_and_goes_on(nodes, monkeypatch):
    monkeypatch.setattr(queries, "MOST_NAMES", 5)
    monkeypatch.setattr(queries, "MOST_SCRIPTS", 3)
    nodes.command("ZADD", NAMES, *[word for number in range(40) for word in (0, f"a{number:02}")])
    nodes[0].pushed("b", "x")
    lengths, after, found = [], "", []
    while after is not None:
        page = ask(nodes, f"?limit=1000&after={after}")
        lengths.append(len(page["identifiers"]))
        found += [row["identifier"] for row in page["identifiers"]]
        after = page["next"]
    assert lengths == [0, 0, 1]
    assert found == ["b"]


def test_many_names_are_read_in_several_scripts(nodes, monkeypatch):
    monkeypatch.setattr(queries, "MOST_NAMES", 4)
    names = [f"n{number:02}" for number in range(30)]
    for name in names:
        nodes[0].pushed(name, "x")
    page = ask(nodes, "?prefix=n&limit=30")
    assert [row["identifier"] for row in page["identifiers"]] == names
    page = ask(nodes, "?prefix=n&limit=6")
    assert [row["identifier"] for row in page["identifiers"]] == names[:6]
    assert page["next"] == names[5]


def test_pushes_are_read_though_no_node_follows_them(nodes):
    at = nodes[0].pushed("chat", "x", push_id=7)
    page = ask(nodes, f"/chat/pushes?after={at - 1}", 1)
    assert [frame["push_id"] for frame in page["pushes"]] == [7]
    assert page["gap"] is False


def test_emptied_redis_is_a_gap_for_what_came_before(nodes):
    at = nodes[0].pushed("chat", "x")
    nodes.command("FLUSHDB")
    nodes.advance(0.1)
    for index in (0, 1):
        page = ask(nodes, f"/chat/pushes?after={at}", index)
        assert (page["pushes"], page["gap"]) == ([], True)
    later = nodes[1].pushed("chat", "y")
    page = ask(nodes, f"/chat/pushes?after={at}")
    assert ([frame["text"] for frame in page["pushes"]], page["gap"]) == (["y"], True)
    assert ask(nodes, f"/chat/pushes?after={later}")["gap"] is False


def test_node_that_knows_of_a_lost_push_tells_the_gap(nodes):
    state = nodes.state()
    at = nodes[0].pushed("chat", "x")
    nodes.go_back(state)
    assert ask(nodes, f"/chat/pushes?after={at - 1}")["gap"] is True


def test_list_changes_nothing_in_redis(nodes):
    nodes[0].pushed("chat", "x")
    nodes.settle()
    before = {key: value[1] for key, value in nodes.state().items()}
    ask(nodes, "/chat/pushes")
    ask(nodes, "/chat")
    ask(nodes)
    ask(nodes, "/news/pushes")
    assert {key: value[1] for key, value in nodes.state().items()} == before


# Redis is away.


@pytest.mark.parametrize("path", ["", "/chat", "/chat/pushes"])
def test_redis_that_is_away_refuses_and_uses_up_no_nonce(nodes, path):
    target = f"/{API_KEY}/identifiers{path}"
    headers = seal(target, b"", nodes[0].wall(), "lists-000000000001", method="GET")
    nodes.cut(nodes[0])

    def send(sent):
        wire = nodes[0].connect("127.0.0.1")
        wire.transport.protocol.dataReceived(request_bytes("GET", target, None, sent))
        nodes.settle()
        return wire.answer()

    for sent in (BEARER, headers):
        answer = send(sent)
        assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
        assert "retry-after" in answer.headers
    nodes.find()
    assert send(headers).status == 200


@pytest.mark.parametrize("path", ["", "/chat", "/chat/pushes"])
@pytest.mark.parametrize("turns", range(6))
def test_session_that_is_lost_meanwhile_refuses(nodes, path, turns):
    """Each question has one answer, whole or a refusal, at whatever moment the connections break."""
    nodes[0].pushed("chat", "x")
    listen(nodes[0], "chat")
    wire = nodes[0].connect("127.0.0.1")
    wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/identifiers{path}", None, BEARER))
    for _ in range(turns):
        nodes[0].reactor.advance(0)
        nodes[0].reactor.pump()
    nodes.cut(nodes[0])
    nodes.advance(1.5)
    answer = wire.answer()
    if answer.status == 200:
        assert "x" in answer.body.decode() or '"listeners":1' in answer.body.decode()
    else:
        assert answer.json["code"] == "engine_unavailable"


def test_broken_key_of_one_account_refuses_its_lists_alone(nodes):
    nodes.command("DEL", NAMES)
    nodes.command("SET", NAMES, "x")
    wire = begin(nodes[0])
    nodes.settle()
    assert wire.answer().status == 503
    assert nodes[0].server.engine.available
    assert ask(nodes, "/chat/pushes")["pushes"] == []


def test_question_that_comes_before_redis_waits_for_it(moved_redis):
    World.redis = moved_redis
    world = World(began=0)
    another = World(beside=world)
    nodes = Nodes.__new__(Nodes)
    nodes.worlds = [world, another]
    assert listed(nodes, "?prefix=chat", 1) == {}
    assert pushes(World(beside=world), "chat")["pushes"] == []
    World.end_all()
    moved_redis.command("FLUSHALL")


# A page of pushes is read in portions.


def fill(world, chance, many, sizes):
    """Push so many texts in batches. Returns their positions."""
    found = []
    while len(found) < many:
        batch = [
            {"identifier": "chat", "text": "x" * chance.choice(sizes), "secret": chance.randrange(2)}
            for _ in range(min(100, many - len(found)))
        ]
        wire = world.connect("127.0.0.1")
        headers = {**BEARER, "Content-Type": "application/json"}
        wire.receive(request_bytes("POST", f"/{API_KEY}/push", json.dumps(batch).encode(), headers))
        found += [answer["position"] for answer in wire.answer().json]
    return found


def in_one_script(nodes, asked):
    """The page as one script reads it."""
    answers = []
    own = nodes[0].server.engine.queries
    after = "" if asked.after is None else asked.after
    read = own.run(PUSHES, Account(API_KEY, (API_SECRET,)), "chat", after, 0, asked.limit, MOST_BYTES)
    read.addCallback(answers.append)
    nodes.settle()
    now, since, floor, _unconfirmed, more = map(int, answers[0][:5])
    page = page_of(read_entries("chat", answers[0][5]), asked.limit, has_gap(since, now, floor), bool(more))
    return {"pushes": [json.loads(frame) for frame in page.frames], "gap": page.gap, "next": page.next}


@pytest.mark.parametrize("sizes", [[1], [0, 10, 4000], [500, 30_000]])
def test_page_in_portions_equals_that_of_one_script(nodes, sizes):
    chance = random.Random(sum(sizes))
    positions = fill(nodes[0], chance, 1000, sizes)
    for limit in (1, PORTION - 1, PORTION, PORTION + 1, 999, 1000):
        for after in (None, positions[0] - 1, positions[chance.randrange(1000)], positions[-1]):
            query = f"/pushes?limit={limit}" + ("" if after is None else f"&after={after}")
            assert ask(nodes, f"/chat{query}") == in_one_script(nodes, AskedPushes(after, limit))


def test_no_script_reads_a_long_page_alone(nodes):
    def scripts():
        return int(re.search(rb"cmdstat_evalsha:calls=(\d+)", nodes.command("INFO", "commandstats"))[1])

    fill(nodes[0], random.Random(1), 1000, [1])
    counts = [scripts()]
    for limit in (100, 1000):
        assert len(ask(nodes, f"/chat/pushes?limit={limit}")["pushes"]) == limit
        counts.append(scripts())
    assert counts[1] - counts[0] < 8 <= counts[2] - counts[1]


@pytest.mark.parametrize("seed", range(6))
def test_pushes_meanwhile_are_on_the_page_or_a_gap(nodes, seed):
    chance = random.Random(seed)
    account = Account(API_KEY, (API_SECRET,), buffer_pushes=150)
    for world in nodes:
        world.server.change_accounts(world.server.settings.__class__((account,)))
    positions = fill(nodes[0], chance, 240, [1])
    after = positions[0] - 1
    assert ask(nodes, f"/chat/pushes?limit=1000&after={after}")["gap"] is False
    wire = nodes[0].connect("127.0.0.1")
    target = f"/{API_KEY}/identifiers/chat/pushes?limit=1000&after={after}"
    wire.transport.protocol.dataReceived(request_bytes("GET", target, None, BEARER))
    assert not wire.answered
    for _ in range(100):
        if wire.answered:
            break
        nodes[0].reactor.advance(0)
        positions += fill(nodes[1], chance, chance.choice([0, 1, 100, 250]), [1])  # Redis has the question before
        nodes[0].reactor.pump()
    nodes.settle()
    page = wire.answer().json
    found = [push["position"] for push in page["pushes"]]
    assert found == sorted(set(found))
    assert page["gap"] or found == [position for position in positions if after < position <= found[-1]]
