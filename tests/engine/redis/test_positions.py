"""The position of an account is asked of Redis, and a flood of requests costs Redis little."""

import pytest

from cometify.engine.redis.positions import MOST_ANSWERS, PAUSE
from tests.contract.support import code_of
from tests.memory import World
from tests.wire import API_KEY

PATH = f"/{API_KEY}/position"


def ask(world, path=PATH):
    return world.request("GET", path)


def scripts(nodes):
    """The number of scripts that Redis has run."""
    lines = nodes.command("INFO", "commandstats").decode().splitlines()
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in lines if line.startswith("cmdstat_eval"))


def test_push_of_one_node_moves_the_position_of_another(nodes):
    pushed = nodes[0].pushed("chat", "one")
    nodes.settle()
    told = ask(nodes[1]).answer().json["position"]
    assert told >= pushed
    assert nodes[0].pushed("chat", "two") > told


def test_page_of_one_node_goes_on_at_another(nodes):
    told = ask(nodes[1]).answer().json["position"]
    nodes[1].pushed("chat", "while the page loads")
    wire = nodes[0].stream(f"identifiers=chat&position={told}")
    nodes.settle()
    frames = wire.frames()
    assert [frame["type"] for frame in frames] == ["ready", "push", "heartbeat"]


def test_flood_shares_scripts(nodes):
    world = nodes[0]
    ask(world)
    before = scripts(nodes)
    wires = [ask(world) for _ in range(3 * MOST_ANSWERS)]
    assert not any(wire.answered for wire in wires)
    assert scripts(nodes) == before
    world.advance(2 * PAUSE, step=PAUSE)
    assert all(wire.answered for wire in wires)
    assert len({wire.answer().json["position"] for wire in wires}) == 1
    assert scripts(nodes) == before + 1


def test_request_that_waits_is_answered_as_of_later(nodes):
    world = nodes[0]
    ask(world)
    wire = ask(world)
    pushed = world.pushed("chat", "meanwhile")
    world.advance(PAUSE)
    assert wire.answer().json["position"] >= pushed


def test_peer_that_leaves_while_it_waits_harms_nobody(nodes):
    world = nodes[0]
    ask(world)
    gone, stays = ask(world), ask(world)
    gone.lose()
    world.advance(PAUSE)
    assert stays.answer().status == 200


@pytest.mark.parametrize("waits", [False, True])
def test_position_is_refused_while_redis_is_away(nodes, waits):
    world = nodes[0]
    wire = None
    if waits:
        ask(world)
        wire = ask(world)
    assert World.redis is not None
    nodes.cut(world)
    wire = wire or ask(world)
    world.reactor.advance(PAUSE)
    answer = wire.answer()
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")
    assert answer.headers["retry-after"] == "2"
    nodes.find()
    assert ask(world).answer().status == 200
