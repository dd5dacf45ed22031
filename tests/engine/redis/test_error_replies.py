"""Error replies of Redis: those of one account are that account's, and those of Redis as a whole are everybody's."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from txredisapi import ResponseError

from cometify.core.account import Account
from cometify.engine.redis.error_replies import TABLE, AccountErrors, Scope, in_words, scope_of
from cometify.engine.redis.messages import Nonsense
from tests.contract.support import code_of, refusal, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World
from tests.redis import RedisServer
from tests.wire import API_KEY, API_SECRET

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
OTHER = "other"
numbers = map(str, count())
NAME = f"cometify:{{{API_KEY}}}"
SCRIPT = "script: 5f1c, on @user_script:87."
REPLIES = {
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "READONLY": f"READONLY You can't write against a read only replica. {SCRIPT}",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM User guest has no permissions to run the 'evalsha' command",
    "ERR ACL failure": f"ERR ACL failure in script: User u has no permissions to run the 'time' command {SCRIPT}",
    "CLUSTERDOWN Hash slot not served": "CLUSTERDOWN Hash slot not served",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "UNBLOCKED": "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR WAIT cannot be used with replica": "ERR WAIT cannot be used with replica instances.",
    "ERR unknown command": "ERR unknown command 'EVALSHA', with args beginning with: 'a' '1'",
    "WRONGTYPE": f"WRONGTYPE Operation against a key holding the wrong kind of value {SCRIPT}",
    "ERR user_script": f"ERR user_script:87: attempt to compare nil with number {SCRIPT}",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "ASK": "ASK 3999 127.0.0.1:6381",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "CROSSSLOT": "CROSSSLOT Keys in request don't hash to the same slot",
}
"""The replies as Redis writes them, by their row in the table."""
OF_ONE_ACCOUNT = {
    "WRONGTYPE",
    "ERR user_script",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CROSSSLOT",
    "CLUSTERDOWN Hash slot not served",
}


@pytest.fixture
def nodes(moved_redis: RedisServer) -> Iterator[Nodes]:
    """One node, with two accounts."""
    World.redis = moved_redis
    first = World(*(Account(key, (API_SECRET,)) for key in (API_KEY, OTHER)))
    nodes = Nodes(first, 1)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("CONFIG", "SET", "maxmemory", "0")
    moved_redis.command("REPLICAOF", "NO", "ONE")
    moved_redis.command("FLUSHALL")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log."""
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)

    class Lines(list[str]):
        def __iter__(self) -> Iterator[str]:
            return iter([formatEvent(event) for event in events])

    yield Lines()
    globalLogPublisher.removeObserver(events.append)


@pytest.mark.parametrize("row", TABLE)
def test_reply_is_the_nodes_or_one_accounts(row):
    scope, reason = TABLE[row]
    assert reason
    assert scope_of(REPLIES[row]) is scope
    assert (scope is Scope.ACCOUNT) == (row in OF_ONE_ACCOUNT)


def test_docs_tell_who_is_refused_by_each_reply():
    told = {
        reply: refused
        for replies, refused in re.findall(
            r"^\| (`[A-Z].*?`) \| (everybody|one account) \|", DOCS.read_text(), re.MULTILINE
        )
        for reply in re.findall(r"`([^`]+)`", replies)
    }
    assert told == {row: "one account" if row in OF_ONE_ACCOUNT else "everybody" for row in TABLE}


def test_unlisted_reply_is_one_accounts():
    assert scope_of("ERR something new") is Scope.ACCOUNT
    assert scope_of("BUSYGROUP Consumer Group name already exists") is Scope.ACCOUNT


def test_reason_for_the_log_has_no_arguments_of_a_command():
    reply = "ERR unknown command 'EVALSHA', with args beginning with: '5f1c' '1' 'cometify:{1}' 'chat' 'a secret text'"
    assert in_words(Failure(ResponseError(reply))) == "ERR unknown command 'EVALSHA'"


def test_reason_for_the_log_has_no_name_of_a_script():
    assert in_words(Failure(ResponseError(f"OOM command not allowed. {SCRIPT}"))) == "OOM command not allowed."


def push_to_both(world: World) -> tuple[int, int]:
    """Push to both accounts. Returns the statuses, the broken account's first."""
    text = next(numbers)  # so that each push has a signature of its own
    return world.push("chat", text).status, world.push("chat", text, key=OTHER).status


@pytest.mark.parametrize("key", [":state", ":public:chat", ":info:chat", ":oldest:public", ":s", ":signed", ":unsaid"])
def test_wrong_type_refuses_pushes_of_its_account_alone(nodes, key):
    (world,) = nodes
    own, others = world.stream("identifiers=chat"), world.stream("identifiers=chat", key=OTHER)
    nodes.command("DEL", NAME + key)
    nodes.command("SET", NAME + key, "evil")
    for _ in range(5):
        assert push_to_both(world) == (503, 200)
        world.advance(2)
        assert world.server.engine.available
        assert world.admin("GET", "/health/ready").status == 200
    assert len(texts(others.frames())) == 5
    assert texts(own.frames()) == []
    nodes.command("DEL", NAME + key)
    world.advance(2)
    assert push_to_both(world) == (200, 200)
    assert push_to_both(world) == (200, 200)
    nodes.advance(2)
    assert texts(own.frames())[-2:] == texts(others.frames())


def test_refused_push_tells_where_the_reason_is(nodes):
    (world,) = nodes
    nodes.command("SET", f"{NAME}:public:chat", "evil")
    answer = world.push("chat", "x")
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert "server's log" in answer.json["detail"]


def test_log_names_account_and_command_once_a_minute(nodes, lines):
    (world,) = nodes
    nodes.command("SET", f"{NAME}:public:chat", "evil")
    for _ in range(4):
        assert push_to_both(world) == (503, 200)
    (line,) = [line for line in lines if "WRONGTYPE" in line]
    assert f"cannot run append on the account {API_KEY}" in line
    assert f"cometify:{{{API_KEY}}}*" in line
    world.advance(50)
    world.push("chat", "x")
    assert len([line for line in lines if "WRONGTYPE" in line]) == 1
    world.advance(11)
    world.push("chat", "x")
    assert len([line for line in lines if "WRONGTYPE" in line]) == 2


def test_wrong_type_refuses_joins_of_its_account_alone(nodes):
    (world,) = nodes
    assert push_to_both(world) == (200, 200)
    nodes.command("DEL", f"{NAME}:public:chat")
    nodes.command("SET", f"{NAME}:public:chat", "evil")
    for _ in range(3):
        assert refusal(world.poll("identifiers=chat:0"))[0] == "engine_unavailable"
        assert len(texts(world.poll("identifiers=chat:0", key=OTHER).frames())) == 1
        assert world.server.engine.available
    fine = world.stream("identifiers=news")
    assert world.push("news", "y").status == 200
    assert texts(fine.frames()) == ["y"]
    nodes.command("DEL", f"{NAME}:public:chat")
    joined = world.stream("identifiers=chat")
    assert world.push("chat", "z").status == 200
    assert texts(joined.frames()) == ["z"]


def test_garbage_in_a_ring_refuses_its_account_alone(nodes):
    (world,) = nodes
    nodes.command("RPUSH", f"{NAME}:public:chat", "x 0 - {")
    assert push_to_both(world) == (200, 200)
    assert refusal(world.poll("identifiers=chat:0"))[0] == "engine_unavailable"
    assert len(texts(world.poll("identifiers=chat:0", key=OTHER).frames())) == 1
    assert world.server.engine.available


def test_wrong_type_of_slots_refuses_that_address_alone(nodes):
    (world,) = nodes
    nodes.command("SET", f"{NAME}:l:10.0.0.1", "evil")
    assert refusal(world.poll("identifiers=chat:0"))[0] == "engine_unavailable"
    joined(world.stream("identifiers=chat", host="10.0.0.2"))
    joined(world.stream("identifiers=chat", key=OTHER))
    assert world.server.engine.available


def test_node_becomes_ready_beside_an_unreadable_account(nodes):
    """The account that cannot be read is set aside, and catches up when its key is mended."""
    (world,) = nodes
    own, others = world.stream("identifiers=chat,news"), world.stream("identifiers=chat", key=OTHER)
    assert push_to_both(world) == (200, 200)
    kept = nodes.command("DUMP", f"{NAME}:public:chat")
    nodes.command("SET", f"{NAME}:public:chat", "evil")
    nodes.cut()
    nodes.find()
    for _ in range(3):
        assert push_to_both(world) == (503, 200)
        assert world.push("news", "n").status == 200
        assert refusal(world.poll("identifiers=news"))[0] == "engine_unavailable"
        world.advance(2)
        assert world.server.engine.available
    assert len(texts(others.frames())) == 4
    assert len(texts(own.frames())) == 1
    nodes.command("RESTORE", f"{NAME}:public:chat", 0, kept, "REPLACE")
    world.advance(2)
    assert texts(own.frames()) == ["n"] * 3
    assert world.push("chat", "y").status == 200
    assert texts(own.frames()) == ["y"]
    assert texts(world.stream("identifiers=news:0").frames()) == ["n"] * 3


@pytest.mark.parametrize("command", [("REPLICAOF", "127.0.0.1", "1"), ("CONFIG", "SET", "maxmemory", "1")])
def test_redis_that_takes_no_writes_refuses_everybody(nodes, command):
    (world,) = nodes
    nodes.command(*command)
    assert world.push("chat", "x").status == 503
    answer = world.push("chat", "x", key=OTHER)
    assert answer.status == 503
    assert "nothing was pushed" in answer.json["detail"]
    assert world.admin("GET", "/health/ready").status == 503


@pytest.mark.parametrize(
    "text",
    ["", "37282591", "37282591 x", "37282591 1 2", "1 2 x 0 - secret text", "*", "*1 2 x 0 - secret text",
     "*1 2 3 0 - {\nsecret text", "!?", "!?[]", "!?[1,2]", "![",
     "![1]", "!?" + "[" * 20_000, "@?", "@?[]", '@?["a"]', "\udcff" * 9],
)  # fmt: skip
def test_garbage_on_a_channel_is_told_in_a_line_and_heals(nodes, lines, text):
    (node,) = nodes
    wire = joined(node.websocket("identifiers=chat"))
    for channel in nodes.command("PUBSUB", "CHANNELS", f"cometify:{node.database}:*"):
        nodes.command("PUBLISH", channel, text.encode("utf-8", "surrogateescape"))
    nodes.settle()
    nodes.find()
    node.pushed("chat", "still there")
    frames = wire.frames()
    for _ in range(10):  # the session may be under way back to Redis
        nodes.advance(1)
        frames += wire.frames()
    assert texts(frames) == ["still there"]
    assert any("makes no sense" in line for line in lines)
    assert not any("a fault in Cometify" in line for line in lines)
    assert not any("secret text" in line or "Traceback" in line or "Unhandled" in line for line in lines)


def test_garbage_that_came_during_a_read_is_told_in_one_line(lines):
    AccountErrors(lambda: 0).log(Failure(Nonsense("not a push")), API_KEY, "read")
    (line,) = lines
    assert f"cannot run read on the account {API_KEY}: not a push." in line


@pytest.mark.parametrize("text", [b"!=\xff 1", b"@=\xff 1"])
def test_answer_to_no_question_is_passed_over(nodes, lines, text):
    (node,) = nodes
    wire = joined(node.websocket("identifiers=chat"))
    for channel in nodes.command("PUBSUB", "CHANNELS", f"cometify:{node.database}:*"):
        nodes.command("PUBLISH", channel, text)
    nodes.settle()
    node.pushed("chat", "there")
    assert texts(wire.frames()) == ["there"]
    assert not any("a fault in Cometify" in line for line in lines)


class BrokenCounts:
    """Counts of listeners that have a fault."""

    def of(self, channel):
        raise TypeError("secret text")


def test_fault_of_our_own_is_told_with_its_place(nodes, lines):
    (node,) = nodes
    wire = joined(node.websocket("identifiers=chat"))
    node.server.engine.queries.count_with(BrokenCounts())
    for channel in nodes.command("PUBSUB", "CHANNELS", f"cometify:{node.database}:*"):
        nodes.command("PUBLISH", channel, f'@?["1", "nobody", "{API_KEY}", "one", "chat"]')
    nodes.settle()
    (told,) = {line for line in lines if "a fault in Cometify" in line}
    assert "Traceback" in told
    assert "raise TypeError" in told
    assert told.endswith("TypeError")
    assert not any("makes no sense" in line or "TypeError: secret text" in line for line in lines)
    nodes.find()
    node.pushed("chat", "still there")
    frames = wire.frames()
    for _ in range(10):
        nodes.advance(1)
        frames += wire.frames()
    assert texts(frames) == ["still there"]
