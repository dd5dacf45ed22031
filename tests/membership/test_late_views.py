"""A poll comes again while a push is being announced to very many views, and its own view has not had its turn."""

import json

import pytest

from cometify.core.account import Account
from cometify.delivery.wide_channels import VIEWS
from cometify.runtime.epoll_loop import LoopHooks
from tests.membership.turns import Turns
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, request_bytes


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def world(turns):
    account = Account(API_KEY, (API_SECRET,), listeners_per_ip=2 * VIEWS)
    return World(account, loop_hooks=LoopHooks(turns.call_soon))


class Poller:
    """Polls again and again on one connection."""

    def __init__(self, world, query):
        self._query = query
        self._wire = world.connect()
        self.got = []
        self.position = None

    def poll(self):
        at = "" if self.position is None else f"&position={self.position}"
        self._wire.transport.protocol.dataReceived(request_bytes("GET", f"/{API_KEY}/poll?{self._query}{at}"))

    def read(self):
        """Read the answer. Returns the texts of its pushes."""
        frames = [json.loads(line) for line in self._wire.answer().body.splitlines()]
        self.position = frames[-1]["position"]
        texts = [frame["text"] for frame in frames if frame["type"] == "push"]
        self.got += texts
        return texts


def test_poll_during_an_announcement_gets_each_push_once(world, turns):
    for number in range(VIEWS):
        world.websocket(f"identifiers=chat,own_{number}", host=f"10.1.{number // 250}.{number % 250}")
    assert len(world.server.membership) == VIEWS
    keeps_the_view = Poller(world, "identifiers=chat:9,last:9")  # it wants no push of this test
    poller = Poller(world, "identifiers=chat,last&listener=the-last-one")
    for each in (keeps_the_view, poller):
        each.poll()
        turns.settle()
        each.read()
    keeps_the_view.poll()
    for text in ("one", "two"):
        poller.poll()  # the first joins, the second shows that it need not join again
        world.pushed("last", text, push_id=1)
        turns.settle()
        assert poller.read() == [text]
    world.pushed("last", "three", push_id=1)
    world.pushed("last", "four", push_id=1)
    turns.settle()
    world.pushed("chat", "five", push_id=1)  # the last of its views has not had its turn
    for _ in range(2):
        poller.poll()
        if poller.got[-1] != "five":
            poller.read()
    turns.settle()
    world.pushed("last", "six", push_id=1)
    turns.settle()
    poller.read()
    assert poller.got == ["one", "two", "three", "four", "five", "six"]
