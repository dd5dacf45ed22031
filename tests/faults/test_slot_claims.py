"""A listener's slot when Redis knows less than its nodes: after Redis went back in time, or while a claim is on its way."""

import json

import pytest

from tests.faults.redis_commands import command
from tests.wire import API_KEY, eventually

SLOTS = f"cometify:{{{API_KEY}}}:l:127.0.0.1"
MOST_HEARTBEATS = 20


def redis_goes_back(redis, listener, node, time):
    """Let Redis hold another node's claim, and break the connections: each node then claims its slots again."""
    command(redis, "HSET", SLOTS, listener, f"another {time}")
    command(redis, "CLIENT", "KILL", "TYPE", "normal")


def claim_is_published(redis, listener, node, time):
    """Tell the node that another node has taken the listener's slot at that time, and has it if it took it later."""
    if time > int(command(redis, "HGET", SLOTS, listener).split()[1]):
        command(redis, "HSET", SLOTS, listener, f"another {time}")
    text = json.dumps([API_KEY, "127.0.0.1", listener, str(time)])
    assert command(redis, "PUBLISH", f"cometify:0:node:{node}", f"!{text}") == ":1"


def next_but_heartbeats(websocket):
    for _ in range(MOST_HEARTBEATS):
        frame = websocket.frame()
        if frame["type"] != "heartbeat":
            return frame
    raise AssertionError("only heartbeats came")


@pytest.mark.parametrize("how", [redis_goes_back, claim_is_published])
@pytest.mark.parametrize("later", [False, True])
def test_only_a_later_claim_replaces_a_listener(make_server, redis, how, later):
    server = make_server(redis=redis.url, heartbeat=1)
    listener = f"listener-{how.__name__}-{later}"
    with server.websocket(f"identifiers=places&listener={listener}") as websocket:
        websocket.joined()
        node, since = command(redis, "HGET", SLOTS, listener).split()
        how(redis, listener, node, int(since) + (1 if later else -1))
        if later:
            frame = next_but_heartbeats(websocket)
            assert (frame["type"], frame["code"]) == ("error", "replaced")
        else:
            eventually(lambda: command(redis, "HGET", SLOTS, listener) == f"{node} {since}")
            # The node hears claims and pushes over one subscription, so that the claim was read before this push.
            eventually(lambda: server.push("places", "still here").status == 200)
            frame = next_but_heartbeats(websocket)
            assert (frame["type"], frame.get("text")) == ("push", "still here")
