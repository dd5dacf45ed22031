"""The place of a listener, where Redis knows less than its nodes: after it went back in time, or while word is on its way."""

import json

import pytest

from tests.wire import API_KEY, Connection, eventually

PLACES = f"cometify:{{{API_KEY}}}:l:127.0.0.1"


def ask(redis, *words):
    """One command; the answer as it stands on the wire."""
    with Connection(redis.port) as connection:
        connection.send(f"*{len(words)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in words))
        line = connection.until(b"\r\n").decode()
        return connection.until(b"\r\n").decode() if line.startswith("$") and line != "$-1" else line


def gone_back(redis, listener, node, time):
    """Redis knows another place, and the nodes lose touch: each says again what it holds."""
    ask(redis, "HSET", PLACES, listener, f"another {time}")
    ask(redis, "CLIENT", "KILL", "TYPE", "normal")


def told(redis, listener, node, time):
    """Word comes that the listener came to another node at that time."""
    text = json.dumps([API_KEY, "127.0.0.1", listener, str(time)])
    assert ask(redis, "PUBLISH", f"cometify:0:node:{node}", f"!{text}") == ":1"


@pytest.mark.parametrize("way", [gone_back, told])
@pytest.mark.parametrize("later", [False, True])
def test_a_listener_is_replaced_only_by_one_that_came_later(make_server, redis, way, later):
    server = make_server(redis=redis.url, heartbeat=1)
    listener = f"listener-{way.__name__}-{later}"
    with server.websocket(f"identifiers=places&listener={listener}") as websocket:
        websocket.joined()
        node, since = ask(redis, "HGET", PLACES, listener).split()
        way(redis, listener, node, int(since) + (1 if later else -1))
        if later:
            while (frame := websocket.frame())["type"] == "heartbeat":
                pass
            assert (frame["type"], frame["code"]) == ("error", "replaced")
        else:
            eventually(lambda: ask(redis, "HGET", PLACES, listener) == f"{node} {since}")
            eventually(lambda: server.push("places", "still here").status == 200)
            assert websocket.texts(1) == ["still here"]
