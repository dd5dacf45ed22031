"""The usage of accounts over several nodes is exact, whatever Redis and its connections do."""

import random
from collections import Counter

import pytest

from cometify.core.account import Account
from cometify.core.errors import OVERLOADED, Refused
from cometify.engine.redis import usage as redis_usage
from tests.contract.support import by_query, fields, kinds, push_fields
from tests.contract.test_usage import BEARER, REPORTED
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, request_bytes

NAME = f"cometify:{{{API_KEY}}}:usage:"
FIGURES = ("pushes", "push_bytes", "deliveries", "gaps")


def ask(nodes, index=0):
    """Ask one node when all have written what they counted."""
    nodes.advance(REPORTED)
    wire = nodes[index].connect("127.0.0.1")
    wire.receive(request_bytes("GET", f"/{API_KEY}/usage", None, BEARER))
    nodes.settle()
    answer = wire.answer()
    assert answer.status == 200, answer
    return answer.json


def pushes(nodes):
    return ask(nodes)["days"][0]["pushes"]


class Happened:
    """Random pushes, listeners and refusals on all nodes, and what of it came to publishers and listeners."""

    def __init__(self, nodes, seed):
        self.nodes = nodes
        self.chance = random.Random(seed)
        self.pushed = Counter()
        self.refused = Counter()
        self.wires = []
        self.gone = 0

    def happen(self):
        self.chance.choice([self.push, self.push, self.push, self.join, self.join, self.refuse, self.leave])()
        self.nodes.settle()

    def push(self):
        text = "é" * self.chance.choice([0, 1, 100, 5000])
        world = self.chance.choice(self.nodes.worlds)
        assert push_fields(world, "chat", fields("chat", text)).status == 200
        self.pushed.update(pushes=1, push_bytes=2 * len(text))

    def join(self):
        at = self.chance.choice(["", "&position=1", ":0"])
        transport = self.chance.choice(["stream", "events", "websocket"])
        world = self.chance.choice(self.nodes.worlds)
        wire = by_query(world, transport, f"identifiers=chat{at}")
        self.nodes.settle()
        self.wires.append(wire)

    def leave(self):
        if self.gone < len(self.wires):
            self.wires[self.gone].lose()
            self.gone += 1

    def refuse(self):
        world = self.chance.choice(self.nodes.worlds)
        if self.chance.random() < 0.5:
            push_fields(world, "chat", fields("chat", "x", secure="0" * 32))
            self.refused["not_authorized"] += 1
        else:
            by_query(world, self.chance.choice(["stream", "websocket", "poll"]), "identifiers=a!b")
            self.refused["invalid_identifier"] += 1

    def seen(self):
        """What publishers and listeners have seen."""
        got = Counter(kind for wire in self.wires for kind in kinds(wire.frames()))
        return Counter(self.pushed, deliveries=got["push"], gaps=got["gap"])


@pytest.mark.parametrize("seed", range(4))
def test_usage_of_three_nodes_is_what_happened(nodes, seed):
    nodes.worlds.append(World(beside=nodes[0]))
    before = ask(nodes)["days"][0]
    happened = Happened(nodes, seed)
    for _ in range(25):
        happened.happen()
        nodes.advance(happened.chance.choice([0.1, 1, 3]))
    seen = happened.seen()
    told = ask(nodes, seed % 3)
    assert {name: told["days"][0][name] - before[name] for name in FIGURES} == {name: seen[name] for name in FIGURES}
    assert Counter(told["days"][0]["refused"]) == happened.refused
    assert told["listeners"] == len(happened.wires) - happened.gone
    assert sum(seen.values()) > 0


def test_listeners_at_most_are_those_of_all_nodes(nodes):
    wires = [by_query(world, "stream", "identifiers=chat") for world in nodes for _ in range(3)]
    assert ask(nodes)["hour"]["most_listeners"] >= 3
    told = ask(nodes)
    assert (told["listeners"], told["hour"]["most_listeners"]) == (6, 6)
    for wire in wires:
        wire.lose()
    told = ask(nodes)
    assert (told["listeners"], told["hour"]["most_listeners"]) == (0, 6)


def test_listeners_of_a_killed_node_are_gone_after_a_while(nodes):
    for world in nodes:
        by_query(world, "stream", "identifiers=chat")
    assert ask(nodes)["listeners"] == 2
    nodes.cut(killed := nodes.worlds.pop())
    killed.reactor.close()
    nodes.advance(25)
    assert ask(nodes)["listeners"] == 1


def test_batch_whose_answer_was_lost_is_added_once(nodes):
    before = pushes(nodes)
    assert push_fields(nodes[0], "chat", fields("chat", "x")).status == 200
    nodes[0].server.engine.usage.report()
    nodes[0].reactor._wait_for_redis()  # it has the batch, and its answer is never read
    nodes.cut(nodes[0])
    nodes.find()
    assert pushes(nodes) == before + 1


def test_nothing_is_lost_while_redis_is_away(nodes):
    before = ask(nodes)["days"][0]
    assert push_fields(nodes[0], "chat", fields("chat", "x")).status == 200
    for _ in range(3):
        nodes.cut()
        nodes[0].server.usage.refuse(API_KEY, Refused(OVERLOADED, "x"))
        nodes[0].server.engine.usage.report()
    nodes.find()
    told = ask(nodes)["days"][0]
    assert (told["pushes"] - before["pushes"], told["refused"]) == (1, {"overloaded": 3})


def test_node_that_stops_writes_what_is_left(nodes):
    before = pushes(nodes)
    assert push_fields(nodes[1], "chat", fields("chat", "x")).status == 200
    stopped = []
    nodes[1].server.stopService().addCallback(stopped.append)
    for _ in range(20):
        nodes.advance(0.1)
    assert stopped
    nodes.worlds.pop()
    assert pushes(nodes) == before + 1


def test_node_stops_although_redis_does_not_answer(nodes):
    assert push_fields(nodes[1], "chat", fields("chat", "x")).status == 200
    nodes[1].reactor.pump = lambda: False
    stopped = []
    nodes[1].server.stopService().addCallback(stopped.append)
    for _ in range(30):
        nodes.advance(0.1)
    assert stopped


def test_broken_keys_of_one_account_cost_no_other(moved_redis):
    World.redis = moved_redis
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,)), Account("broken", (API_SECRET,))), 1)
    before = pushes(nodes)
    nodes.command("SET", "cometify:{broken}:usage:hour", "something else")
    usage = nodes[0].server.usage
    usage.of("broken").pushed(1)
    usage.of(API_KEY).pushed(1)
    assert pushes(nodes) == before + 1
    nodes.redis.close()
    moved_redis.command("FLUSHALL")
    World.end_all()


def test_many_accounts_are_written_in_bounded_batches(moved_redis, monkeypatch):
    monkeypatch.setattr(redis_usage, "MOST_ACCOUNTS", 3)
    World.redis = moved_redis
    accounts = [Account(f"site{number}", (API_SECRET,)) for number in range(10)]
    nodes = Nodes(World(Account(API_KEY, (API_SECRET,)), *accounts), 1)
    for number, account in enumerate(accounts):
        for _ in range(number + 1):
            nodes[0].server.usage.of(account.api_key).pushed(1)
    nodes.advance(REPORTED)
    keys = nodes.command("KEYS", "cometify:{site*}:usage:day:*")
    assert sorted(int(nodes.command("HGET", key, "pushes")) for key in keys) >= list(range(1, 11))
    assert int(nodes.command("GET", nodes.command("KEYS", "cometify:usage:*")[0])) >= 4
    nodes.redis.close()
    moved_redis.command("FLUSHALL")
    World.end_all()


def test_keys_of_usage_are_bounded_and_expire(nodes):
    by_query(nodes[0], "stream", "identifiers=chat")
    happened = Happened(nodes, 1)
    for _ in range(20):
        happened.push()
        happened.refuse()
    ask(nodes)
    lives = {key.decode().removeprefix(NAME): nodes.command("TTL", key) for key in nodes.command("KEYS", f"{NAME}*")}
    (day,) = [key for key in lives if key.startswith("day:")]
    assert lives.keys() == {day, "hour", "nodes"}
    assert 31 * 86_400 < lives[day] <= 32 * 86_400
    assert 3600 < lives["hour"] <= 7200
    assert 0 < lives["nodes"] <= 60
    fields_of_day = {field.decode() for field in nodes.command("HKEYS", NAME + day)}
    figures = {"pushes", "push_bytes", "deliveries", "delivered_bytes", "most_listeners"}
    assert fields_of_day == figures | {"refused:not_authorized", "refused:invalid_identifier"}
    assert nodes.command("MEMORY", "USAGE", NAME + day) < 1000
