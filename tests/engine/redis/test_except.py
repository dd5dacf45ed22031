"""A push with `except` over several nodes, and as older and newer versions keep it in Redis."""

import json

from tests.contract.support import API_KEY, API_SECRET, texts
from tests.engine.redis.nodes import joined
from tests.memory import World
from tests.wire import request_bytes

ME, OTHER = "me-0123456789", "other_01234567"
LIST = f"cometify:{{{API_KEY}}}:public:chat"


def push(world, text, **more):
    wire = world.connect("127.0.0.1")
    body = json.dumps({"text": text, "secret": 0, **more}).encode()
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}"}
    wire.receive(request_bytes("POST", f"/{API_KEY}/push/chat", body, head))
    assert wire.answer().status == 200


def test_excepted_listener_skips_the_push_on_every_node(nodes):
    wires = {name: [joined(world.websocket(f"identifiers=chat&listener={name}{index}")) for index, world in enumerate(nodes)]
             for name in (ME, OTHER)}  # fmt: skip
    push(nodes[0], "a", **{"except": f"{ME}1"})
    push(nodes[1], "b", **{"except": f"{ME}0"})
    nodes.settle()
    assert [texts(wire.frames()) for wire in wires[ME]] == [["a"], ["b"]]
    assert [texts(wire.frames()) for wire in wires[OTHER]] == [["a", "b"]] * 2
    late = World(beside=nodes[0])  # it reads everything from Redis
    assert texts(late.stream(f"identifiers=chat:0&listener={ME}1").frames()) == ["b"]
    assert texts(late.stream(f"identifiers=chat:0&listener={OTHER}0").frames()) == ["a", "b"]


def test_older_versions_find_a_frame_in_a_push_with_except(nodes):
    push(nodes[0], "a", **{"except": ME})
    push(nodes[0], "b")
    excepted, other = nodes.command("LRANGE", LIST, 0, -1)
    position, secret, push_id, head = excepted.split(b" ", 3)
    assert (secret, push_id) == (b"0", b"-")
    frame = json.loads(head + position + b"}")
    assert frame.pop("except") == ME
    assert frame == {"type": "push", "identifier": "chat", "push_id": None, "text": "a", "position": int(position)}
    assert b"except" not in other


def test_excepted_listener_costs_no_bytes_of_the_limits(nodes):
    sizes = []
    for more in ({"except": ME}, {}):
        push(nodes[0], "a", **more)
        sizes.append(int(nodes.command("HGET", f"cometify:{{{API_KEY}}}:info:chat", "public_bytes")))
    assert sizes[1] == 2 * sizes[0]
