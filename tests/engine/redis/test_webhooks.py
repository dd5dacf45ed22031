"""Events of webhooks over several nodes: one node sends at a time, another takes over, and nothing is left out."""

from ipaddress import ip_network

import pytest

from cometify.core.account import Account
from cometify.core.webhook_events import MOST_WAITING, Report
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.webhook_receiver import URL, Receiver
from tests.wire import API_KEY, API_SECRET

NETWORKS = {"webhook_networks": (ip_network("10.9.8.7"),)}
KEYS = f"cometify:{{{API_KEY}}}:e*"


@pytest.fixture
def pair(nodes, moved_redis):
    """Two nodes whose account has a webhook, and the receiver of each. The first node sends."""
    World.redis = moved_redis
    pair = Nodes(World(Account(API_KEY, (API_SECRET,), webhook=URL), **NETWORKS), 2, **NETWORKS)
    receivers = [Receiver(world) for world in pair]
    events = run(pair, receivers, 3)
    assert [event["type"] for event in events] == ["reset"]
    assert receivers[0].requests
    yield pair, receivers
    pair.redis.close()


def run(nodes, receivers, seconds, step=0.5, only=None):
    """Let time pass on the nodes, or on these alone. The others do nothing. Returns the events that came, in order."""
    running = range(len(receivers)) if only is None else only
    before = [len(receiver.requests) for receiver in receivers]
    while seconds > 0:
        for index in running:
            nodes[index].reactor.advance(step)
        # A node that settles sets the clock of Redis to its own time. One that stands still would set it back, while Redis may
        # not have done the commands of the others.
        for index in [*running] * 3:
            nodes[index].settle()
        for index in running:
            receivers[index].pump()
        seconds -= step
    new = [receiver.requests[count:] for receiver, count in zip(receivers, before, strict=True)]
    return [event for requests in new for request in requests for event in request.events]


def told(events):
    return [(event["type"], event.get("identifier")) for event in events]


def test_listeners_are_counted_over_all_nodes(pair):
    nodes, receivers = pair
    wires = [world.websocket("identifiers=chat") for world in nodes]
    assert told(run(nodes, receivers, 3)) == [("occupied", "chat")]
    wires[0].lose()
    assert run(nodes, receivers, 12) == []
    wires[1].lose()
    assert told(run(nodes, receivers, 12)) == [("vacated", "chat")]
    assert not receivers[1].requests


def test_moving_to_another_node_makes_no_event(pair):
    nodes, receivers = pair
    wire = nodes[0].websocket("identifiers=chat")
    run(nodes, receivers, 3)
    for index in (1, 0, 1):
        wire.lose()
        run(nodes, receivers, 4.5)
        wire = nodes[index].websocket("identifiers=chat")
        assert run(nodes, receivers, 8) == []


def test_quiet_node_stays_counted_for_longer_than_a_day(pair):
    nodes, receivers = pair
    wire = nodes[1].websocket("identifiers=chat")
    run(nodes, receivers, 3)
    for key in nodes.command("KEYS", KEYS):
        nodes.command("EXPIRE", key, 20)  # as if the last change was nearly a day ago
    run(nodes, receivers, 12)
    for key in nodes.command("KEYS", KEYS):
        if not key.endswith(b":lease"):
            assert nodes.command("TTL", key) > 80_000, key
    wire.lose()
    assert told(run(nodes, receivers, 12)) == [("vacated", "chat")]


def test_another_node_takes_over_from_one_that_died(pair):
    nodes, receivers = pair
    nodes[1].websocket("identifiers=chat")
    assert told(run(nodes, receivers, 3)) == [("occupied", "chat")]
    nodes[1].websocket("identifiers=news", host="10.0.0.2")
    events = run(nodes, receivers, 25, only=[1])
    assert told(events) == [("occupied", "news")]
    assert receivers[1].requests


def test_batch_under_way_is_sent_again_as_it_was(pair):
    nodes, receivers = pair
    receivers[0].answer = None
    nodes[0].websocket("identifiers=chat")
    run(nodes, receivers, 3)
    under_way = receivers[0].requests[-1]
    nodes[1].websocket("identifiers=news", host="10.0.0.2")
    events = run(nodes, receivers, 30, only=[1])
    assert told(events) == [("occupied", "chat"), ("occupied", "news")]
    assert receivers[1].requests[0].body == under_way.body
    assert receivers[1].requests[0].headers["idempotency-key"] == under_way.headers["idempotency-key"]


def test_listeners_of_a_dead_node_have_time_to_come_back(pair):
    nodes, receivers = pair
    nodes[0].websocket("identifiers=chat,news")
    run(nodes, receivers, 3)
    assert run(nodes, receivers, 25, only=[1]) == []
    nodes[1].websocket("identifiers=chat", host="10.0.0.2")
    events = run(nodes, receivers, 40, only=[1])
    assert told(events) == [("vacated", "news")]


def test_node_that_was_out_of_touch_reports_again(pair):
    nodes, receivers = pair
    nodes[0].websocket("identifiers=chat")
    run(nodes, receivers, 3)
    events = run(nodes, receivers, 70, 2, only=[1])
    assert told(events) == [("vacated", "chat")]
    nodes[0]._suspended += 70_000_000  # it was frozen
    assert told(run(nodes, receivers, 20)) == [("occupied", "chat")]


def test_changes_while_redis_is_away_are_told_later(pair):
    nodes, receivers = pair
    nodes[0].websocket("identifiers=chat")
    nodes[1].websocket("identifiers=news", host="10.0.0.2")
    nodes.cut()
    nodes.find()
    assert sorted(told(run(nodes, receivers, 8))) == [("occupied", "chat"), ("occupied", "news")]


def test_emptied_redis_is_told_as_a_reset(pair):
    nodes, receivers = pair
    nodes[0].websocket("identifiers=chat")
    nodes[1].websocket("identifiers=news", host="10.0.0.2")
    before = [event["id"] for event in run(nodes, receivers, 3)]
    nodes.command("FLUSHDB")
    events = run(nodes, receivers, 12)
    assert told(events)[0] == ("reset", None)
    assert sorted(told(events)[1:]) == [("occupied", "chat"), ("occupied", "news")]
    assert events[0]["id"] > max(before)


def test_keys_of_webhooks_are_forgotten_in_a_day(pair):
    nodes, receivers = pair
    receivers[0].answer = None
    nodes[0].websocket("identifiers=chat")
    nodes[1].websocket("identifiers=news", host="10.0.0.2")
    nodes[0].websocket("identifiers=x", host="10.0.0.3").lose()
    run(nodes, receivers, 8)
    keys = nodes.command("KEYS", KEYS)
    assert len(keys) >= 7
    assert all(0 < nodes.command("TTL", key) <= 86400 for key in keys)


def test_account_without_webhook_has_no_keys(nodes):
    nodes[0].websocket("identifiers=chat")
    nodes.advance(10)
    assert nodes.command("KEYS", KEYS) == []


def test_events_that_wait_are_bounded_in_redis(pair):
    nodes, receivers = pair
    receivers[0].answer = b""
    events = nodes[0].server.engine.webhooks
    for start in range(0, MOST_WAITING + 2_000, 500):
        names = tuple(f"n{number}" for number in range(start, start + 500))
        events.report(API_KEY, Report(come=names), again=True)
        run(nodes, receivers, 1.5, 1.5)
    assert nodes.command("LLEN", f"cometify:{{{API_KEY}}}:e:queue") <= MOST_WAITING
    assert nodes.command("MEMORY", "USAGE", f"cometify:{{{API_KEY}}}:e:queue", "SAMPLES", 0) < 2_000_000
    receivers[0].answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    told = run(nodes, receivers, 64, 2)
    assert [event["type"] for event in told].count("dropped") == 1
    assert sum(event.get("count", 1) for event in told) == MOST_WAITING + 2_000
