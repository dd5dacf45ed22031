"""The work of a push, counted in calls and not in seconds: a call costs the same on a busy machine."""

import json
from collections import Counter
from itertools import repeat

import pytest

from tests.calls import counted_python_calls
from tests.stress.test_order import Slow, World, push_bytes
from tests.wire import API_KEY, request_bytes

PUSHES = 50
MOST_CALLS = 82
"""Calls of functions in Python for one push, from its bytes to those of its delivery, and for a turn without any. See decision
0055."""


@pytest.fixture
def world():
    world = World(repeat(0.0).__next__)  # no read is long, however busy the machine is
    yield world
    world.close()


def test_push_to_one_listener_takes_few_calls(world):
    websocket, _transport = world.listener()
    calls = Counter()
    with websocket.connection, Slow(world) as publisher:
        for number in range(2 * PUSHES):
            publisher.send(push_bytes(str(number)))
            with counted_python_calls() as found:
                world.turn(2)
            if number >= PUSHES:  # the first ones fill caches
                calls += found
            assert publisher.answer().status == 200
            assert websocket.texts(1) == [str(number)]
    assert calls["MemoryEngine.append"] == PUSHES
    assert calls.total() <= MOST_CALLS * PUSHES, calls.most_common()


def test_poll_of_a_busy_channel_does_not_join_again(world):
    """Each poll is answered at once, so nobody waits on the channel when the next one comes."""
    position = 0
    calls = Counter()
    with Slow(world) as publisher, Slow(world) as poller:
        for number in range(5):
            publisher.send(push_bytes(str(number)))
            assert publisher.answer().status == 200
            with counted_python_calls() as found:
                poller.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat&position={position}"))
                answer = poller.answer()
            frames = [json.loads(line) for line in answer.body.splitlines()]
            assert [frame["text"] for frame in frames if frame["type"] == "push"] == [str(number)]
            position = frames[-1]["position"]
            if number > 1:  # the first two join
                calls += found
    assert calls["PollResumer.resume"] == 3
    assert calls["Membership.join"] == 0
