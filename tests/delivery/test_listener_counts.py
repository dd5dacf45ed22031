"""Pages of identifiers are made in bounded steps, while listeners and rings come and go."""

import pytest

from cometify.core.encodings import POLL, STREAM, WEBSOCKET, WEBSOCKET_DEFLATED
from cometify.core.identifier_page import AskedNames
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer
from cometify.delivery import listener_counts
from cometify.delivery.listener_counts import MOST_STEPS, ListenerCounts
from cometify.delivery.registry import Registry
from tests.delivery.loop import Loop
from tests.fakes import Peer

KEY = "1"


class Node:
    """A registry and the rings of one account, in a loop that the test turns."""

    def __init__(self):
        self.loop = Loop()
        self.registry = Registry(lambda view: None, self.loop.later)
        self.rings = AccountRings()
        self.counts = ListenerCounts(self.registry, self.loop.later)

    def follow(self, *names):
        for name in names:
            self.rings.add(RingBuffer.beginning_at((KEY, name), 0))

    def join(self, *names, secret=(), encoding=WEBSOCKET):
        peer = Peer()
        peer.encoding = encoding
        self.registry.enter(peer, {name: self.rings.rings[name] for name in names}, secret, lambda: 0)
        return peer

    def ask(self, prefix="", after="", limit=1000):
        """Begin a page. It is in the list when it is made."""
        made = []
        asked = AskedNames(prefix, after, limit)
        self.counts.page(self.rings, asked, listened_only=True).addCallback(made.append)
        return made

    def page(self, **asked):
        made = self.ask(**asked)
        while self.loop.due:
            self.loop.turn()
        (page,) = made
        return page


def test_listeners_are_counted_by_transport_and_right():
    node = Node()
    node.follow("chat", "news")
    node.join("chat", secret=["chat"])
    node.join("chat", "news", secret=["news"], encoding=WEBSOCKET_DEFLATED)
    gone = node.join("chat", encoding=POLL)
    node.join("news", encoding=STREAM)
    count = node.counts.of((KEY, "chat"))
    assert (dict(count.transports), count.secret) == ({"websocket": 2, "poll": 1}, 1)
    node.registry.part(gone)
    assert node.counts.of((KEY, "chat")).total == 2
    assert node.counts.of((KEY, "nobody")).total == 0


def test_page_of_many_unused_identifiers_takes_bounded_steps(monkeypatch):
    monkeypatch.setattr(listener_counts, "STEP", 10)
    node = Node()
    node.follow(*(f"n{number:03}" for number in range(95)))
    node.join("n050")
    node.join("n094")
    looked_at = []
    views = node.registry.views
    node.registry.views = lambda channel: looked_at.append(channel) or views(channel)
    made, steps = node.ask(), []
    while not made:
        before = len(looked_at)
        node.loop.turn()
        steps.append(len(looked_at) - before)
    assert max(steps) <= 10
    assert [row.identifier for row in made[0].rows] == ["n050", "n094"]
    assert made[0].next is None


def test_channel_with_many_views_ends_its_step(monkeypatch):
    monkeypatch.setattr(listener_counts, "STEP", 10)
    node = Node()
    node.follow("a", "b", "c", *(f"own{number:02}" for number in range(30)))
    for number in range(30):
        node.join("a", "b", "c", f"own{number:02}")
    node.page(prefix="zz")  # puts the names in order
    made = node.ask(limit=3)
    turns = 0
    while not made:
        node.loop.turn()
        turns += 1
    assert [(row.identifier, row.listeners) for row in made[0].rows] == [("a", 30), ("b", 30), ("c", 30)]
    assert turns == 3


def test_page_that_takes_too_many_steps_is_short_and_goes_on(monkeypatch):
    monkeypatch.setattr(listener_counts, "STEP", 2)
    node = Node()
    many = 2 * MOST_STEPS
    node.follow(*(f"n{number:04}" for number in range(many + 1)))
    node.join(f"n{many:04}")
    page = node.page()
    assert (page.rows, page.next) == ((), f"n{many - 1:04}")
    page = node.page(after=page.next)
    assert ([row.identifier for row in page.rows], page.next) == ([f"n{many:04}"], None)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_identifiers_that_come_and_go_change_no_other(monkeypatch, limit):
    monkeypatch.setattr(listener_counts, "STEP", 3)
    node = Node()
    names = [f"n{number:02}" for number in range(40)]
    node.follow(*names)
    peers = {name: node.join(name) for name in names}
    found, after = [], ""
    while after is not None:
        made = node.ask(after=after, limit=limit)
        while not made:
            node.loop.turn()
            for name in list(peers):
                if name[-1] in "37":
                    node.registry.part(peers.pop(name))
                    node.rings.remove(node.rings.rings[name])
                    node.follow(f"{name}x")
                    node.join(f"{name}x")
                    break
        found += [row.identifier for row in made[0].rows]
        after = made[0].next
    stayed = [name for name in names if name[-1] not in "37"]
    assert [name for name in found if name in stayed] == stayed
    assert len(found) == len(set(found))
