"""The kept pushes in /metrics are those that Redis has, whichever node took them, and counting them is bounded."""

import pytest

from cometify.core.account import Account
from cometify.engine.redis import kept_figures
from tests.contract.support import post
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, form, secure

OTHER, ITS_SECRET = "site02", "the secret of site02"
KEPT = ("kept_pushes", "kept_bytes")


@pytest.fixture
def nodes(nodes):
    accounts = (Account(API_KEY, (API_SECRET,)), Account(OTHER, (ITS_SECRET,)))
    nodes = Nodes(World(*accounts, account_metrics=True), 2, account_metrics=True)
    yield nodes
    nodes.redis.close()


def figures(world):
    """The figures of kept pushes, of all accounts and of each: {name: value}."""
    found = {}
    for line in world.admin("GET", "/metrics").body.decode().splitlines():
        name, _, value = line.partition(" ")
        if "_kept_" in name or "_copied_" in name:
            found[name.removeprefix("cometify_")] = float(value) if not line.startswith("#") else None
    found.pop("#", None)
    return found


def kept(world):
    found = figures(world)
    return tuple(found[name] for name in KEPT)


def push_other(world, identifier, text):
    body = form({"text": text, "secret": "0", "secure": secure(identifier, text, OTHER, ITS_SECRET)})
    assert post(world, f"/{OTHER}/push/{identifier}", body).status == 200


def clear(nodes):
    for key in nodes.command("KEYS", "*:info:*"):
        nodes.command("DEL", key, key.replace(b":info:", b":public:"), key.replace(b":info:", b":secret:"))


def test_every_node_tells_what_redis_keeps_of_all_nodes(nodes):
    clear(nodes)
    listener = nodes[0].stream("identifiers=chat")
    frames = []
    for number in range(5):
        nodes[number % 2].pushed("chat", f"{number}" * number)
    nodes[1].pushed("news", "x", secret=1)
    for number in range(3):
        push_other(nodes[1], f"orders{number}", "x")
    nodes.advance(12)
    frames = [line for line in listener.body().splitlines() if b'"type":"push"' in line]
    for world in nodes:
        found = figures(world)
        assert found["kept_pushes"] == 9
        assert found[f'account_kept_pushes{{account="{API_KEY}"}}'] == 6
        assert found[f'account_kept_pushes{{account="{OTHER}"}}'] == 3
        mine, other = (found[f'account_kept_bytes{{account="{key}"}}'] for key in (API_KEY, OTHER))
        assert mine + other == found["kept_bytes"]
        assert sum(map(len, frames)) < mine < sum(map(len, frames)) + 150
    # Only the first node has copies, and only of the identifier that is listened to there.
    copied = [(figures(world)["copied_pushes"], figures(world)["copied_bytes"]) for world in nodes]
    assert copied == [(5, sum(map(len, frames))), (0, 0)]


def test_expired_pushes_are_not_told(nodes):
    nodes[0].pushed("chat", "x")
    push_other(nodes[0], "chat", "y")
    nodes.advance(12)
    assert kept(nodes[1])[0] >= 2
    for kind in ("public", "secret"):  # as when they expire, and the state of the account stays
        for key in nodes.command("KEYS", f"*:{kind}:*"):
            nodes.command("DEL", key)
    nodes.advance(12)
    assert [kept(world) for world in nodes] == [(0, 0), (0, 0)]
    assert figures(nodes[0])[f'account_kept_pushes{{account="{OTHER}"}}'] == 0


def test_counting_goes_on_in_bounded_parts(nodes, monkeypatch):
    monkeypatch.setattr(kept_figures, "MOST_NAMES", 3)
    clear(nodes)
    for number in range(10):
        nodes[0].pushed(f"a{number}", "x")
        push_other(nodes[1], f"b{number}", "y")
    nodes.advance(12)
    before = nodes.command("INFO", "commandstats")
    nodes.advance(1)
    told = [calls(nodes.command("INFO", "commandstats"), name) - calls(before, name) for name in ("llen",)]
    # Two nodes, two scripts for each of one or two beats, three identifiers for each, and two lists of each identifier.
    assert told[0] <= 2 * 2 * 2 * 3 * 2
    nodes.advance(12)
    assert [kept(world)[0] for world in nodes] == [20, 20]
    found = figures(nodes[1])
    assert [found[f'account_kept_pushes{{account="{key}"}}'] for key in (API_KEY, OTHER)] == [10, 10]


def calls(stats, command):
    (line,) = [line for line in stats.decode().splitlines() if line.startswith(f"cmdstat_{command}:")] or ["=0,"]
    return int(line.partition("calls=")[2].partition(",")[0] or 0)


def test_broken_keys_of_one_account_hide_no_other(nodes):
    clear(nodes)
    nodes[0].pushed("chat", "x")
    push_other(nodes[0], "chat", "y")
    name = f"cometify:{{{OTHER}}}"
    nodes.command("DEL", f"{name}:names", f"{name}:info:chat")
    nodes.command("SET", f"{name}:names", "broken")
    nodes.advance(12)
    assert kept(nodes[0])[0] == 1


def test_nothing_is_counted_while_nobody_reads(nodes):
    nodes.advance(kept_figures.WANTED + 12, step=1)
    before = calls(nodes.command("INFO", "commandstats"), "zrangebylex")
    nodes.advance(30)
    assert calls(nodes.command("INFO", "commandstats"), "zrangebylex") == before
    assert "kept_pushes" not in figures(nodes[0])
    nodes.advance(2)
    assert kept(nodes[0])[0] >= 0


def test_figures_are_left_out_while_redis_is_away(nodes):
    nodes.advance(12)
    assert "kept_pushes" in figures(nodes[0])
    nodes.cut(nodes[0])
    assert "kept_pushes" not in figures(nodes[0])
    nodes.find()
    nodes.advance(12)
    assert "kept_pushes" in figures(nodes[0])
