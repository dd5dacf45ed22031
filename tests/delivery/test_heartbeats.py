"""Heartbeats, and the end of listeners that do not read: when, with what position, and in how large steps."""

import json

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from cometify.core import errors
from cometify.core.encodings import STREAM_UNCHUNKED
from cometify.core.listener import Listener
from cometify.core.listener_state import Event
from cometify.core.push import Push
from cometify.core.view import View
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.runtime.slices import STEP
from tests.delivery.loop import Loop

PATIENCE = 60
"""Seconds after which a listener that reads nothing is closed, as the documents have it."""


class Peer(Listener):
    """A live listener at the head, which writes down its heartbeats."""

    encoding = STREAM_UNCHUNKED

    def __init__(self, world):
        super().__init__()
        self.world, self.view = world, world.view
        self.told, self.ended, self.waiting, self.is_broken = [], None, 1, False
        self.go_live()
        world.wheel.add(self)

    def wake(self):
        self.send = len

    def beat(self, heartbeat):
        if self.is_broken:
            raise RuntimeError("broken")
        self.world.served += 1
        self.told.append((self.world.ticks, json.loads(heartbeat)["position"]))

    def stall(self):
        self.transition(Event.BLOCKED)
        self.world.wheel.watch(self)

    def unread(self):
        self.world.served += 1
        return self.waiting

    def end(self, refused):
        assert refused.code is errors.TOO_SLOW
        assert refused.code.close == 4103
        self.ended = self.world.ticks
        self.transition(Event.ENDED)
        self.world.wheel.discard(self)


class World:
    """One view on a wheel. The watermark is the number of the turns so far."""

    def __init__(self, heartbeat=25):
        self.loop = Loop()
        self.wheel = HeartbeatWheel(heartbeat, self.loop.later)
        self.ticks = self.turns = self.served = 0
        self.view = View((STREAM_UNCHUNKED, ()), (), 0, lambda: self.turns)

    def tick(self):
        self.ticks += 1
        self.wheel.tick()

    def turn(self):
        self.turns += 1
        self.loop.turn()

    def pass_seconds(self, seconds):
        for _ in range(seconds):
            self.tick()
            self.finish()

    def finish(self):
        """Turn until the work is done. Returns how many listeners each turn served."""
        steps = []
        for _ in range(10_000):
            if not self.loop.due:
                return steps
            before = self.served
            self.turn()
            steps.append(self.served - before)
        raise AssertionError("the work does not end")

    def push(self):
        self.view.advance(Push("chat", None, False, self.view.head + 1000, b"{}"))


@pytest.mark.parametrize("heartbeat", [1, 2, 25])
def test_heartbeat_comes_after_each_interval(heartbeat):
    world = World(heartbeat)
    first = Peer(world)
    world.pass_seconds(1)
    second = Peer(world)
    world.pass_seconds(3 * heartbeat)
    assert [tick for tick, _ in first.told] == [n * heartbeat for n in range(1, 4 + (heartbeat == 1))]
    assert [tick for tick, _ in second.told] == [1 + n * heartbeat for n in range(1, 4)]


def test_ten_thousand_heartbeats_of_one_second_go_in_steps():
    world = World(2)
    peers = [Peer(world) for _ in range(10_000)]
    world.pass_seconds(1)
    world.tick()
    assert world.served == 0, "nothing is done in the tick itself"
    steps = world.finish()
    assert max(steps) == STEP
    assert sum(steps) == 10_000
    assert all(len(peer.told) == 1 for peer in peers)


def test_heartbeat_tells_the_position_of_its_own_step():
    world = World(1)
    peers = [Peer(world) for _ in range(3 * STEP)]
    world.pass_seconds(1)
    assert [peer.told for peer in peers] == [[(1, 1 + number // STEP)] for number in range(3 * STEP)]
    assert [peer.sent_up_to for peer in peers] == [1 + number // STEP for number in range(3 * STEP)]


def test_push_between_two_steps_holds_heartbeats_back():
    world = World(5)
    peers = [Peer(world) for _ in range(2 * STEP)]
    world.pass_seconds(4)
    world.tick()
    world.turn()
    world.push()
    world.finish()
    assert [len(peer.told) for peer in peers] == [1] * STEP + [0] * STEP
    for peer in peers:
        peer.cursor = world.view.head
    world.pass_seconds(1)
    assert [peer.told for peer in peers[STEP:]] == [[(6, world.view.head)]] * STEP, "due at the next tick"
    world.pass_seconds(5)
    assert [peer.told[1:] for peer in peers] == [[(10, world.view.head)]] * STEP + [[(11, world.view.head)]] * STEP


def test_listener_that_is_late_by_a_tick_is_due_at_the_next():
    world = World(5)
    peers = [Peer(world) for _ in range(2 * STEP)]
    world.pass_seconds(4)
    world.tick()
    world.turn()
    world.push()
    world.tick()
    world.tick()
    world.finish()
    for peer in peers:
        peer.cursor = world.view.head
    world.pass_seconds(1)
    assert [peer.told for peer in peers[STEP:]] == [[(8, world.view.head)]] * STEP


def test_poll_that_comes_again_during_the_steps_waits():
    world = World(5)
    peers = [Peer(world) for _ in range(2 * STEP)]
    world.pass_seconds(4)
    world.tick()
    world.turn()
    last = peers[-1]
    last.transition(Event.ENDED)
    last.go_live(Event.POLLED_AGAIN)
    world.wheel.add(last)
    world.finish()
    assert last.told == []
    world.pass_seconds(4)
    assert last.told == []
    world.pass_seconds(1)
    assert [tick for tick, _ in last.told] == [10]


def test_listener_that_parts_during_the_steps_gets_nothing():
    world = World(1)
    peers = [Peer(world) for _ in range(2 * STEP)]
    world.tick()
    world.turn()
    peers[-1].transition(Event.ENDED)
    world.wheel.discard(peers[-1])
    peers[-2].transition(Event.ENDED)
    world.finish()
    world.pass_seconds(2)
    assert [len(peer.told) for peer in peers] == [3] * (2 * STEP - 2) + [0, 0]


def test_fault_of_one_heartbeat_keeps_no_other_back():
    told = []
    world = World(2)
    peers = [Peer(world) for _ in range(3)]
    peers[1].is_broken = True
    globalLogPublisher.addObserver(told.append)
    try:
        world.pass_seconds(4)
    finally:
        globalLogPublisher.removeObserver(told.append)
    assert [len(peer.told) for peer in peers] == [2, 0, 2]
    assert [formatEvent(event) for event in told] == ["Heartbeat failed for a listener on stream"]


def test_listener_that_reads_nothing_for_60_seconds_is_ended():
    world = World()
    peer = Peer(world)
    world.pass_seconds(10)
    peer.stall()
    # The first look, within a second, finds out how much waits. 60 seconds later it is still the same.
    world.pass_seconds(PATIENCE)
    assert peer.ended is None
    world.pass_seconds(1)
    assert peer.ended == 10 + 1 + PATIENCE
    assert world.wheel.stalled == 0


def test_listener_that_reads_a_byte_has_60_seconds_more():
    world = World()
    peer = Peer(world)
    peer.waiting = 1000
    peer.stall()
    world.pass_seconds(1 + PATIENCE - 1)
    peer.waiting = 999
    world.pass_seconds(PATIENCE)
    assert peer.ended is None
    world.pass_seconds(1)
    assert peer.ended == 1 + 2 * PATIENCE


def test_listener_that_reads_everything_is_no_longer_checked():
    world = World()
    peer = Peer(world)
    peer.stall()
    assert world.wheel.stalled == 1
    world.pass_seconds(PATIENCE)
    peer.transition(Event.WRITABLE)
    assert world.wheel.stalled == 0
    world.pass_seconds(2)
    peer.stall()
    world.pass_seconds(PATIENCE)
    assert peer.ended is None


def test_ten_thousand_stalled_listeners_are_checked_in_steps():
    world = World()
    peers = [Peer(world) for _ in range(10_000)]
    for peer in peers:
        peer.stall()
    world.tick()
    steps = world.finish()
    assert max(steps) == STEP
    assert sum(steps) == 10_000
    world.pass_seconds(PATIENCE)
    assert {peer.ended for peer in peers} == {1 + PATIENCE}
