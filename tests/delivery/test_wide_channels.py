"""Channels with very many views: heads are raised in bounded steps, and no listener can tell the difference."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.core.encodings import POLL, STREAM_UNCHUNKED
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.wide_channels import VIEWS
from tests.delivery.loop import Loop

KEY = "37282591"


class Peer(Listener):
    """A listener that takes everything. `frames`: what it got."""

    def __init__(self, encoding=STREAM_UNCHUNKED):
        super().__init__()
        self.encoding = encoding
        self.frames = []

    def offer(self, data):
        self.frames += map(json.loads, data.splitlines())
        if self.encoding.once:
            self.registry.part(self)
        return len(data)

    def beat(self, heartbeat):
        self.offer(heartbeat)

    @property
    def positions(self):
        return [frame["position"] for frame in self.frames if frame["type"] == "push"]

    @property
    def gaps(self):
        return sum(frame["type"] == "gap" for frame in self.frames)


class World:
    """Registry and fan-out on the rings of one account. `most`: the most views that are raised in one step."""

    def __init__(self, most=VIEWS):
        self.loop = Loop()
        self.position = 0
        self.woken = []
        self.rings = {}
        self.fan_out = FanOut(self.loop.later, lambda: 0.0)
        self.registry = Registry(self._wake, self.loop.later, most)
        self.heartbeats = HeartbeatWheel(1, self.loop.later)

    def _wake(self, view):
        self.woken.append(view)
        self.fan_out.wake(view)

    def ring(self, name):
        if name not in self.rings:
            self.rings[name] = RingBuffer.beginning_at((KEY, name), 0)
        return self.rings[name]

    def push(self, name="chat", *, secret=False):
        self.position += 1
        frame = json.dumps({"type": "push", "position": self.position}).encode()
        push = Push(name, None, secret, self.position, frame)
        self.ring(name).of(secret).append(push, 1000, 10**9)
        self.registry.announce(self.ring(name), push)

    def lose(self, name="chat", *, through=None):
        if through is None:
            self.position += 1
        self.ring(name).lose(through or self.position)
        self.registry.lost(self.ring(name))

    def join(self, *names, cursor=None, secret=False, encoding=STREAM_UNCHUNKED):
        peer = Peer(encoding)
        self.enter(peer, *names, cursor=cursor, secret=secret)
        return peer

    def enter(self, peer, *names, cursor=None, secret=False):
        peer.registry = self.registry
        rings = {name: self.ring(name) for name in names}
        self.registry.enter(peer, rings, names if secret else (), lambda: self.position)
        peer.cursor = self.position if cursor is None else cursor
        self.heartbeats.add(peer)
        self.fan_out.catch_up(peer)

    def pages(self, count):
        """Pages that listen to chat, and each to an identifier of its own."""
        pages = [self.join("chat", f"own-{number}") for number in range(count)]
        self.loop.turns()
        assert {page.state for page in pages} == {State.LIVE}
        return pages

    def late(self, *pages):
        return [page.view.is_late for page in pages]


def assert_in_order(peer):
    """Raise AssertionError if a push came twice, or below what was told before."""
    told = 0
    for frame in peer.frames:
        if frame["type"] != "gap":
            assert frame["position"] >= told + (frame["type"] == "push"), peer.frames
            told = frame["position"]


@pytest.mark.parametrize("happens", [World.push, World.lose])
def test_no_step_raises_more_views_than_its_bound(happens):
    world = World()
    world.pages(3 * VIEWS + 1)
    happens(world)
    assert len(world.woken) == VIEWS, "the first step is taken at once"
    while world.loop.due:
        before = len(world.woken)
        world.loop.turn()
        assert len(world.woken) - before <= VIEWS
    assert len(world.woken) == len(set(world.woken)) == 3 * VIEWS + 1
    assert not world.woken[0].late.exist, "nothing has to be looked at any longer"


@pytest.mark.parametrize("happens", [World.push, World.lose])
def test_views_of_a_usual_channel_are_raised_at_once(happens):
    world = World()
    pages = world.pages(VIEWS)
    happens(world)
    assert len(world.woken) == VIEWS
    assert {page.view.head for page in pages} == {1}
    assert len(world.loop.due) == 1, "the fan-out's slice, and no other work"


def test_work_that_waits_does_not_grow_with_the_pushes():
    world = World(most=2)
    pages = world.pages(7)
    for _ in range(50):
        world.push()
    turns = world.loop.turns()
    assert turns <= 2 * len(pages), "two passes, because one raises a view over any number of pushes"
    assert [page.positions for page in pages] == [list(range(1, 51))] * 7


def test_second_channel_does_not_overtake_an_unfinished_pass():
    world = World(most=1)
    first, last = world.pages(2)
    world.push("chat")
    assert world.late(first, last) == [False, True]
    world.push("own-1")
    world.loop.turns()
    assert (first.positions, last.positions) == ([1], [1, 2])


def test_live_listeners_of_a_view_that_is_raised_early_get_all():
    """A listener that joins a late view raises the head, so the pass finds nothing to do there."""
    world = World(most=1)
    _first, last = world.pages(2)
    world.push()
    late = world.join("chat", "own-1")
    world.loop.turns()
    assert last.positions == [1]
    assert late.positions == []


def test_listener_that_joins_a_late_view_gets_no_older_push():
    world = World(most=1)
    *_, last = world.pages(4)
    world.push()
    before, after = world.join("chat", "own-3", cursor=0), world.join("chat", "own-3")
    world.loop.turn()
    assert world.late(last) == [False], "raised when they went live"
    world.loop.turns()
    assert (before.positions, after.positions) == ([1], [])
    world.push()
    world.loop.turns()
    assert (before.positions, after.positions) == ([1, 2], [2])


def test_listener_moved_during_a_pass_gets_each_push_once():
    world = World(most=1)
    first, *_, last = world.pages(5)
    world.push()
    for page, to in ((first, "own-4"), (last, "own-0")):
        world.registry.part(page, Event.RELISTENED)
        world.enter(page, "chat", to, cursor=page.cursor)
    world.push()
    world.loop.turns()
    assert first.positions == last.positions == [1, 2]


def test_view_left_during_a_pass_is_not_raised():
    world = World(most=1)
    first, middle, last = world.pages(3)
    world.push()
    world.registry.part(middle)
    world.loop.turns()
    assert (first.positions, middle.positions, last.positions) == ([1], [], [1])


def test_channel_left_by_all_and_joined_again_is_served():
    world = World(most=1)
    old = world.pages(9)
    world.push()
    for page in old:
        world.registry.part(page)
    new = [world.join("chat", f"new-{number}") for number in range(3)]
    world.loop.turn()
    assert {page.state for page in new} == {State.LIVE}
    world.push()  # while the pass over the old views goes on
    world.loop.turns()
    assert [page.positions for page in new] == [[2]] * 3


def test_no_heartbeat_overtakes_a_push_of_an_unfinished_pass():
    world = World(most=1)
    pages = world.pages(8)
    world.heartbeats.tick()
    world.loop.turns()
    world.position += 1
    world.push()
    world.heartbeats.tick()
    world.loop.turns()
    world.heartbeats.tick()
    world.loop.turns()
    for page in pages:
        assert_in_order(page)
        assert page.frames[-1] == {"type": "heartbeat", "position": world.position}, "it comes a tick later"


def test_poll_of_a_late_view_is_not_told_more_than_it_got():
    """A poll goes on from the heartbeat that ends it, and would miss the push of the unfinished pass."""
    world = World(most=1)
    world.pages(2)
    poll = world.join("chat", "own-9", encoding=POLL)
    world.loop.turns()
    world.push("own-9")
    world.push("chat")
    assert world.late(poll) == [True]
    world.loop.due.popleft()()  # the fan-out's slice, before the pass over the channel goes on
    told = poll.frames[-1]["position"]
    assert [position for position in (1, 2) if position <= told] == poll.positions


def test_secret_push_wakes_only_views_that_see_it():
    world = World(most=1)
    without, with_key = world.pages(3), [world.join("chat", f"own-{number}", secret=True) for number in range(3)]
    world.loop.turns()
    world.push(secret=True)
    world.loop.turns()
    assert [page.positions for page in without] == [[]] * 3
    assert [page.positions for page in with_key] == [[1]] * 3
    assert {*world.woken} == {page.view for page in with_key}


def test_loss_during_a_pass_is_told_to_all_once():
    world = World(most=1)
    pages = world.pages(4)
    world.push()
    world.loop.turn()
    world.lose()
    world.push()
    world.loop.turns()
    assert [(page.positions, page.gaps) for page in pages] == [([1, 3], 1)] * 4


def test_loss_behind_an_announcement_is_told_to_all():
    """No head is raised by this loss, nor by the secret push. Spans that were made before must still be forgotten."""
    world = World(most=1)
    world.pages(3)
    world.push()
    world.loop.turns()
    world.push()
    for number in range(3):
        world.join("chat", f"own-{number}", cursor=0)
    world.loop.turn()
    world.lose(through=1)
    world.push(secret=True)
    world.loop.turns()
    back = [world.join("chat", f"own-{number}", cursor=0) for number in range(3)]
    world.loop.turns()
    assert [(page.positions, page.gaps) for page in back] == [([1, 2], 1)] * 3


def test_loss_is_told_by_one_pass_and_not_by_the_next():
    world = World(most=1)
    pages = world.pages(3)
    world.lose()
    world.push(secret=True)
    world.loop.turns()
    assert sorted(map(id, world.woken)) == sorted(id(page.view) for page in pages)


# The same script, with heads raised in steps and all at once.

NAMES = st.sampled_from(["chat", "news", "own-0", "own-1"])
STEPS = st.one_of(
    st.tuples(st.just("push"), NAMES, st.booleans()),
    st.tuples(st.just("push"), st.just("chat"), st.booleans()),
    st.tuples(st.just("lose"), NAMES),
    st.tuples(st.just("join"), st.sets(NAMES, min_size=1), st.integers(0, 3) | st.none(), st.booleans()),
    st.tuples(st.just("part"), st.integers(0, 20)),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("tick")),
)
EVERYBODY = [("join", {"chat", name}, None, secret) for name in ("news", "own-0", "own-1") for secret in (False, True)]


def played(script, most):
    """Play a script. Returns all listeners, and those that have left."""
    world = World(most)
    peers, left = [], []
    for kind, *rest in script:
        if kind == "push":
            world.push(rest[0], secret=rest[1])
        elif kind == "lose":
            world.lose(rest[0])
        elif kind == "join":
            names, ago, secret = rest
            cursor = None if ago is None else max(0, world.position - ago)
            peers.append(world.join(*sorted(names), cursor=cursor, secret=secret))
        elif kind == "part" and (here := [peer for peer in peers if peer not in left]):
            left.append(here[rest[0] % len(here)])
            world.registry.part(left[-1])
            world.heartbeats.discard(left[-1])
        elif kind == "turn":
            for _ in range(rest[0]):
                world.loop.turn()
        elif kind == "tick":
            world.heartbeats.tick()
    world.loop.turns()
    return peers, [peers.index(peer) for peer in left]


@given(st.lists(STEPS, max_size=40), st.integers(1, 4))
def test_heads_raised_in_steps_make_no_difference(script, most):
    script = [*EVERYBODY, ("turn", 3), *script]
    (sliced, left), (whole, also_left) = played(script, most), played(script, 10**6)
    assert left == also_left
    for number, (one, other) in enumerate(zip(sliced, whole, strict=True)):
        if number in left:  # how far it came depends on the turns
            many = min(len(one.positions), len(other.positions))
            assert one.positions[:many] == other.positions[:many]
        else:
            assert one.positions == other.positions
            assert bool(one.gaps) == bool(other.gaps)
        assert_in_order(one)
