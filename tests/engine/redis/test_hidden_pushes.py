"""Secret pushes in Redis, which nobody without a key may notice: the work of a join, and data of an older version."""

from typing import Any

import pytest

from cometify.core.position import RETENTION, SECOND
from tests.contract.support import API_KEY, gaps, texts
from tests.engine.redis.nodes import Nodes, joined
from tests.memory import World
from tests.wire import secure_key

NAME = f"cometify:{{{API_KEY}}}"
OF_THE_TEST = {"cmdstat_info", "cmdstat_config|resetstat", "cmdstat_ping"}


def commands_of(nodes: Nodes, world: World, query: str) -> dict[str, int]:
    """The commands that Redis runs for a poll, in scripts too, and how often."""
    nodes.command("CONFIG", "RESETSTAT")
    world.poll(query)
    statistics: bytes = nodes.command("INFO", "commandstats")
    lines = [line.split(":calls=") for line in statistics.decode().splitlines() if ":calls=" in line]
    return {name: int(rest.split(",")[0]) for name, rest in lines if name not in OF_THE_TEST}


@pytest.mark.parametrize("minutes", [1, 11], ids=["fresh", "due to be dropped"])
@pytest.mark.parametrize("followed", [False, True])
def test_join_runs_the_same_commands_whatever_is_hidden(nodes, minutes, followed):
    """Else its time would tell of secret pushes."""
    first, second = nodes
    for name, hidden in (("without", 0), ("within", 200)):
        first.pushed(name, "public", 0, 3)
        for _ in range(hidden):
            first.pushed(name, "secret", 1, 9)
        first.pushed(name, "public", 0, 4)
    if followed:
        joined(second.stream("identifiers=without,within"))
    nodes.jump(minutes * 60)
    nodes.find()
    # Public pushes that are due are dropped by the first who comes, whatever it asks for.
    second.poll("identifiers=nobodys:0")
    ran = [commands_of(nodes, second, f"identifiers={name}:0") for name in ("without", "within")]
    assert ran[0] == ran[1]
    assert ran[0]["cmdstat_evalsha"] >= 1


def test_beat_drops_secret_pushes_that_are_too_old(nodes):
    first, _second = nodes
    joined(first.stream("identifiers=chat"))
    for secret in (0, 1):
        first.pushed("chat", "old", secret)
    assert [nodes.command("LLEN", f"{NAME}:{kind}:chat") for kind in ("public", "secret")] == [1, 1]
    for world in nodes:
        world._suspended += RETENTION + SECOND
    nodes.advance(2)
    assert [nodes.command("EXISTS", f"{NAME}:{kind}:chat") for kind in ("public", "secret")] == [0, 0]
    state = nodes.command("HMGET", f"{NAME}:state", "public_bytes", "secret_bytes")
    assert state == [b"0", b"0"]


def test_node_reads_secret_pushes_when_somebody_may_see_them(nodes):
    first, second = nodes
    at = first.pushed("chat", "one", 1)
    first.pushed("chat", "two")
    listener = joined(second.stream("identifiers=chat"))
    first.pushed("chat", "three", 1)
    first.pushed("chat", "four")
    nodes.settle()
    assert texts(listener.frames()) == ["four"]
    keyed = f"secureKey={secure_key('chat')}"
    for query, expected in (
        (f"identifiers=chat&position={at}&{keyed}", ["two", "three", "four"]),
        (f"identifiers=chat:0&{keyed}", ["one", "two", "three", "four"]),
    ):
        frames = second.stream(query).frames()
        assert (gaps(frames), texts(frames)) == ([], expected)
    nodes.cut(second)
    first.pushed("chat", "five", 1)
    nodes.find()
    frames = second.stream(f"identifiers=chat:0&{keyed}").frames()
    assert (gaps(frames), texts(frames)) == ([], ["one", "two", "three", "four", "five"])


def older_layout(nodes: Nodes, position: int, *pushes: str) -> None:
    """The keys of an older version, in which both kinds of pushes were in one list."""
    nodes.command("FLUSHDB")
    nodes.command("HSET", NAME, "last", position, "began", 1, "bytes", 200, "renewed", position)
    for entry in pushes:
        nodes.command("RPUSH", f"{NAME}:p:chat", entry)
    nodes.command(
        "HSET", f"{NAME}:i:chat", "floor", 0, "secret_floor", 0, "public", position, "secret", 0, "bytes", 200
    )


def test_pushes_of_an_older_version_are_a_gap(nodes):
    """They are not read, and nobody is told that nothing was lost."""
    first, second = nodes
    at = first.clock() - SECOND
    head = '{"type":"push","identifier":"chat","push_id":null,"text":"old","position":'
    older_layout(nodes, at + 10, f"{at + 9} 0 - {head}", f"{at + 10} 1 - {head}")
    frames = second.stream(f"identifiers=chat&position={at}").frames()
    assert (gaps(frames), texts(frames)) == ([["chat"]], [])
    frames = first.stream("identifiers=chat:0").frames()
    assert (gaps(frames), texts(frames)) == ([["chat"]], [])
    last = first.pushed("chat", "new")
    assert texts(second.stream(f"identifiers=chat&position={last - 1}").frames()) == ["new"]


def test_positions_go_on_from_those_of_an_older_version(nodes):
    """The older version may have given positions above the clock, and a page can have such a cursor."""
    ahead = nodes[0].clock() + 3600 * SECOND
    older_layout(nodes, ahead)
    assert nodes[1].pushed("chat", "new") > ahead


def test_older_version_is_refused_by_the_new_layout(nodes):
    """An older node beside a new one must refuse, because it does not see all pushes."""
    nodes[0].pushed("chat", "new")
    answer: Any = nodes.redis.command("HMGET", NAME, "last", "began", "bytes", "renewed")
    assert isinstance(answer, Exception)
    assert str(answer).startswith("WRONGTYPE")
