"""The fan-out slice by slice. The test makes the turns, moves the clock, and says how many bytes a connection takes."""

import json
import random
from collections import deque

import pytest

from cometify.core.backlog import Backlog
from cometify.core.encodings import STREAM_UNCHUNKED
from cometify.core.group_filter import GroupFilter
from cometify.core.histogram import BOUNDS
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.push import Push
from cometify.core.ring import RingBuffer
from cometify.core.usage import Usage
from cometify.core.view import SPAN, SPANS
from cometify.delivery.fanout import CHUNK, LONGEST, SLICE, FanOut
from cometify.delivery.registry import Registry

CHANNEL = ("37282591", "chat")


class Peer(Listener):
    """`takes`: the bytes that the next writes take, or the errors that they raise. Later writes take everything."""

    encoding = STREAM_UNCHUNKED

    def __init__(self):
        super().__init__()
        self.takes = deque()
        self.writes = []
        self.held = []
        self.offer = self._write

    def _write(self, data):
        taken = self.takes.popleft() if self.takes else len(data)
        if isinstance(taken, Exception):
            raise taken
        taken = min(taken, len(data))
        if taken:
            self.writes.append(data[:taken])
        return taken

    def wake(self):
        self.send = self._write

    def hold(self, rest):
        assert self.state is State.STALLED
        self.held.append(rest)
        self.writes.append(rest)

    @property
    def positions(self):
        return [json.loads(line)["position"] for line in b"".join(self.writes).splitlines()]


class World:
    """A registry and a fan-out on one ring. `haste`: seconds that pass at each look at the clock."""

    def __init__(self):
        self.due = []
        self.time = 0.0
        self.haste = 0.0
        self.position = 0
        self.ring = RingBuffer.beginning_at(CHANNEL, 0)
        self.fan_out = FanOut(self.later, self.clock)
        usage = Usage()
        self.registry = Registry(self.fan_out.wake, self.later, usage=usage)
        self.counts = usage.of(CHANNEL[0])

    def later(self, seconds, function):
        self.due.append((seconds, function))

    def clock(self):
        self.time += self.haste
        return self.time

    def push(self, text="", *, push_id=None, most=1000):
        self.position += 1
        frame = json.dumps({"position": self.position, "text": text}).encode()
        push = Push("chat", push_id, False, self.position, frame)
        self.ring.of(push.secret).append(push, most, 10**9)
        self.registry.announce(self.ring, push)

    def join(self, count=1, cursor=None, wants=GroupFilter(False)):  # noqa: B008 - frozen
        peers = [Peer() for _ in range(count)]
        for peer in peers:
            self.registry.enter(
                peer, {"chat": self.ring}, ["chat"] * wants.secret, lambda: self.position, {"chat": (wants,)}
            )
            peer.cursor = self.position if cursor is None else cursor
            self.fan_out.catch_up(peer)
        return peers

    def live(self, count):
        peers = self.join(count)
        self.all()
        assert {peer.state for peer in peers} == {State.LIVE}
        return peers

    def read_again(self, peer):
        """The peer of a stalled listener reads again."""
        peer.transition(Event.WRITABLE)
        self.fan_out.catch_up(peer)

    def slice(self):
        ((seconds, function),) = self.due
        assert seconds == 0
        self.due.clear()
        function()

    def all(self):
        for _ in range(1000):
            if not self.due:
                return
            self.slice()
        raise AssertionError("the fan-out does not come to rest")


@pytest.fixture
def world():
    return World()


def test_publisher_is_answered_before_the_first_delivery(world):
    (peer,) = world.live(1)
    world.push()
    world.push()
    assert peer.writes == []
    assert len(world.due) == 1, "one slice is enough for both"
    world.slice()
    assert len(peer.writes) == 1
    assert peer.positions == [1, 2]
    assert world.due == []


def test_push_without_live_listeners_sets_no_slice(world):
    (peer,) = world.live(1)
    peer.transition(Event.BLOCKED)
    world.push()
    assert world.due == []


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("more", [1, CHUNK, CHUNK + 1])
def test_listener_appended_behind_a_short_part_is_served(world, count, more):
    peers = world.live(count)
    world.haste = LONGEST
    world.push()
    for _ in range(-(-count // CHUNK)):
        world.slice()  # one part in each, and the pass is not over before the next look at the clock
    late = [Peer() for _ in range(more)]
    view = peers[0].view
    for peer in late:
        world.registry.enter(peer, {"chat": world.ring}, (), lambda: 1, {"chat": (GroupFilter(False),)})
        peer.cursor = 0
        peer.filters = None
        peer.go_live()
        peer.cursor = 0
        view.pass_members.append(peer)
    world.all()
    assert all(peer.positions == [1] for peer in peers + late)


def test_listener_that_goes_live_during_a_pass_gets_all_once(world):
    peers = world.live(CHUNK + 3)
    world.haste = LONGEST
    world.push()
    world.slice()
    late = world.join(CHUNK + 3, cursor=0)
    world.slice()
    world.push()
    world.all()
    assert all(peer.positions == [1, 2] for peer in peers + late)


def test_push_during_a_pass_reaches_the_unserved_in_one_write(world):
    peers = world.live(CHUNK + 8)
    world.haste = LONGEST
    world.push()
    world.slice()
    assert [len(peer.writes) for peer in peers] == [1] * CHUNK + [0] * 8
    world.push()
    world.all()
    assert all(peer.positions == [1, 2] for peer in peers)
    assert [len(peer.writes) for peer in peers] == [2] * CHUNK + [1] * 8


def test_push_made_by_a_write_is_seen_by_the_pass(world):
    first, second = world.live(2)
    write = first.send

    def publish_once(data):
        first.send = write
        world.push()
        return write(data)

    first.send = publish_once
    world.push()
    world.all()
    assert first.positions == second.positions == [1, 2]


def test_long_pass_does_not_hold_up_another_view(world):
    other = World()
    other.due, other.fan_out = world.due, world.fan_out
    other.registry = Registry(world.fan_out.wake, world.later)
    crowd, few = world.live(5 * CHUNK), other.live(1)
    world.haste = LONGEST
    world.push()
    other.push()
    world.slice()
    world.slice()
    assert few[0].positions == [1]
    assert crowd[-1].positions == []
    world.all()
    assert all(peer.positions == [1] for peer in crowd)


@pytest.mark.parametrize("haste", [0.0, SLICE])
def test_two_views_are_both_brought_to_the_head(world, haste):
    other = World()
    other.due, other.fan_out = world.due, world.fan_out
    other.registry = Registry(world.fan_out.wake, world.later)
    peers = [*world.live(2), *other.live(2)]
    world.haste = haste
    world.push()
    other.push()
    world.all()
    assert all(peer.positions == [1] for peer in peers)


def test_error_of_a_write_stalls_that_listener_alone(world):
    peers = world.live(3)
    peers[1].takes.append(BlockingIOError())
    world.push()
    world.all()
    assert [peer.positions for peer in peers] == [[1], [], [1]]
    assert (peers[1].state, peers[1].held, peers[1].cursor) == (State.STALLED, [b""], 0)
    world.read_again(peers[1])
    world.all()
    assert peers[1].positions == [1]
    assert peers[1].state is State.LIVE


@pytest.mark.parametrize("live", [True, False])
def test_short_write_keeps_only_the_rest_of_its_frame(world, live):
    (peer,) = world.live(1) if live else world.join(1)
    for _ in range(3):
        world.push()
    frames = [STREAM_UNCHUNKED.encode(push.frame, push.position) for push in world.ring.after(0)]
    peer.takes.append(len(frames[0]) + 4)
    world.all()
    assert peer.held == [frames[1][4:]]
    assert (peer.state, peer.cursor) == (State.STALLED, 2)
    world.push()
    world.all()
    assert peer.positions == [1, 2], "a stalled listener costs nothing"
    world.read_again(peer)
    world.all()
    assert peer.positions == [1, 2, 3, 4]
    assert peer.state is State.LIVE


def test_write_that_ends_with_a_frame_keeps_nothing(world):
    (peer,) = world.live(1)
    world.push()
    world.push()
    peer.takes.append(len(next(world.ring.after(0)).frame) + 1)
    world.all()
    assert (peer.held, peer.cursor) == ([b""], 1)


def test_listener_that_parts_or_stalls_in_a_pass_is_skipped(world):
    peers = world.live(CHUNK + 2)
    world.haste = LONGEST
    world.push()
    world.slice()
    world.registry.part(peers[-1])
    peers[-2].transition(Event.BLOCKED)
    world.all()
    assert [peer.writes for peer in peers[-2:]] == [[], []]
    assert peers[-1].state is State.GONE
    world.read_again(peers[-2])
    world.all()
    assert peers[-2].positions == [1]


def test_listener_that_parts_while_behind_is_skipped(world):
    first, second = world.join(2, cursor=0)
    world.push()
    world.registry.part(first)
    world.all()
    assert first.writes == []
    assert second.positions == [1]


def test_many_cursors_keep_the_spans_bounded(world):
    for _ in range(3 * SPANS):
        world.push()
    stay = world.live(1)[0]
    peers = [peer for cursor in range(3 * SPANS) for peer in world.join(cursor=cursor)]
    for peer in peers:
        peer.filters = None
    view = stay.view
    most = 0
    world.haste = LONGEST
    while world.due:
        world.slice()
        most = max(most, len(view.spans))
    assert 0 < most <= SPANS
    assert all(peer.positions == list(range(cursor + 1, 3 * SPANS + 1)) for cursor, peer in enumerate(peers))


def test_spans_are_forgotten_after_a_pass(world):
    (peer,) = world.live(1)
    world.push()
    world.all()
    assert peer.view.spans == {}
    assert (peer.view.pass_members, peer.view.is_queued) == ([], False)


def test_more_than_one_write_takes_several_passes(world):
    peers = world.live(3)
    for _ in range(5):
        world.push("x" * (SPAN // 2))
    world.all()
    for peer in peers:
        assert peer.positions == [1, 2, 3, 4, 5]
        assert len(peer.writes) == 5
        assert peer.state is State.LIVE


def test_push_dropped_before_its_pass_is_a_gap(world):
    peers = world.live(2)
    world.push()
    world.push(most=1)
    world.all()
    for peer in peers:
        lines = [json.loads(line) for line in b"".join(peer.writes).splitlines()]
        assert lines[0] == {"type": "gap", "identifiers": ["chat"]}
        assert lines[1]["position"] == 2
        assert len(lines) == 2
        assert peer.state is State.LIVE


def test_filter_keeps_a_push_from_its_listener_alone(world):
    (strict,) = world.join(wants=GroupFilter(False, 5))
    (plain,) = world.join()
    world.all()
    for push_id in (5, 6, None):
        world.push(push_id=push_id)
    world.all()
    assert strict.positions == [2, 3]
    assert plain.positions == [1, 2, 3]
    assert strict.state is plain.state is State.LIVE


def test_many_who_filter_a_push_diverge_in_bounded_steps(world):
    """The longest step is counted in listeners that leave the passes: no turn may move more than a chunk of them."""
    peers = world.join(20 * CHUNK, wants=GroupFilter(False, 5))
    world.all()
    world.haste = LONGEST
    world.push(push_id=5)
    moved = []
    while world.due:
        before = sum(peer.state is State.LIVE for peer in peers)
        world.slice()
        moved.append(before - sum(peer.state is State.LIVE for peer in peers))
    assert max(moved) <= CHUNK, "in each turn a chunk diverges, and those who have caught up come back"
    assert all(peer.writes == [] for peer in peers)
    assert {peer.state for peer in peers} == {State.LIVE}
    assert {peer.cursor for peer in peers} == {1}


def test_push_by_itself_moves_no_listener(world):
    peers = world.join(3, wants=GroupFilter(False, 5))
    world.all()
    world.push(push_id=5)
    assert {peer.state for peer in peers} == {State.LIVE}
    assert len(world.due) == 1


def test_filters_are_asked_where_a_pass_meets_two_cursors(world):
    """Willing and unwilling listeners are mixed, a push comes during the pass, and everybody gets what it wants."""
    strict, plain = [], []
    for _ in range(2 * CHUNK):
        strict += world.join(wants=GroupFilter(False, 5))
        plain += world.join()
    world.all()
    world.push(push_id=6)
    world.haste = LONGEST
    world.slice()
    world.push(push_id=5)
    world.slice()
    world.push(push_id=7)
    world.all()
    assert {tuple(peer.positions) for peer in plain} == {(1, 2, 3)}
    assert {tuple(peer.positions) for peer in strict} == {(1, 3)}
    assert world.fan_out.deliveries == 2 * CHUNK * 5


def test_willing_are_served_while_pushes_that_others_filter_go_on(world):
    """A flood of pushes that most do not want must not keep the others waiting."""
    world.join(20 * CHUNK, wants=GroupFilter(False, 5))
    (plain,) = world.join()
    world.all()
    world.haste = LONGEST
    for _ in range(40):
        world.push(push_id=5)
        world.slice()
    assert plain.writes


def test_listeners_behind_take_turns_by_spans(world):
    for _ in range(4):
        world.push("x" * (SPAN - 100))
    far, near = *world.join(cursor=0), *world.join(cursor=3)
    world.haste = LONGEST
    world.slice()
    world.slice()
    assert (far.positions, near.positions) == ([1], [4])
    world.all()
    assert far.positions == [1, 2, 3, 4]


def test_transport_that_takes_all_and_pauses_is_stalled(world):
    (peer,) = world.join()
    world.push()

    def greedy(data):
        peer.writes.append(data)
        peer.transition(Event.BLOCKED)
        return len(data)

    peer.offer = greedy
    world.all()
    assert peer.positions == [1]
    assert (peer.state, peer.cursor, peer.held) == (State.STALLED, 1, [])


def test_listener_that_ends_with_its_first_write_is_gone(world):
    (peer,) = world.join()
    world.push()

    def once(data):
        world.registry.part(peer)
        peer.writes.append(data)
        return len(data)

    peer.offer = once
    world.all()
    assert peer.positions == [1]
    assert (peer.state, peer.held) == (State.GONE, [])


def test_cut_preamble_is_not_sent_twice(world):
    (peer,) = world.join()
    peer.backlog = Backlog(preamble=b'{"position":0}\n')
    peer.takes.append(3)
    world.push()
    world.all()
    assert peer.held == [b'osition":0}\n']
    world.read_again(peer)
    world.all()
    assert peer.positions == [0, 1]


def test_error_in_one_slice_does_not_end_the_fan_out(world):
    broken, well = world.join(2)
    world.push()
    broken.takes.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        world.slice()
    world.all()
    assert well.positions == [1]


def test_stalled_listener_with_a_loss_stays_stalled(world):
    peers = world.live(CHUNK + 1)
    world.haste = LONGEST
    world.push()
    world.slice()
    peers[-1].transition(Event.BLOCKED)
    world.push(most=1)
    world.all()
    assert (peers[-1].state, peers[-1].writes) == (State.STALLED, [])
    assert all(peer.positions == [1, 2] for peer in peers[:-1])


def test_new_listen_during_a_pass_ends_the_old_pushes(world):
    other = RingBuffer.beginning_at((CHANNEL[0], "metrics"), 0)

    def listen_to_the_other(peer):
        wants = GroupFilter(False, -1, world.position, world.position)
        world.registry.enter(peer, {"metrics": other}, (), lambda: world.position, {"metrics": (wants,)})
        peer.cursor = world.position
        world.fan_out.catch_up(peer)

    listen_to_the_other(Peer())  # so that the head there is an old one
    peers = world.live(4 * CHUNK)
    changes = peers[-1]
    world.haste = LONGEST
    world.push()
    world.slice()
    world.registry.part(changes, Event.RELISTENED)
    listen_to_the_other(changes)
    world.all()
    assert changes.state is State.LIVE, "it went live before the pass reached it"
    assert changes.writes == []
    assert all(peer.positions == [1] for peer in peers[:-1])


def test_slices_grow_until_the_next_push(world):
    peers = world.live(40 * CHUNK)

    def parts():
        before = sum(len(peer.writes) for peer in peers)
        world.slice()
        return (sum(len(peer.writes) for peer in peers) - before) // CHUNK

    world.haste = SLICE
    world.push()
    assert [parts() for _ in range(5)] == [1, 2, 4, 4, 4]
    world.push()
    assert [parts() for _ in range(3)] == [1, 2, 4]


def disturb(world, peers, chance):
    """Cut some of the next writes anywhere, let some listeners stall or read again, and seldom let one part."""
    world.haste = chance.choice([0.0, SLICE / 2, LONGEST])
    for peer in chance.sample(peers, 3):
        peer.takes.extend(chance.choices([0, 1, 30, 50], k=chance.randrange(3)))
    for peer in chance.sample(peers, 2):
        if peer.state is State.LIVE:
            peer.transition(Event.BLOCKED)
        elif peer.state is State.STALLED:
            world.read_again(peer)
    if chance.random() < 0.2:
        world.registry.part(chance.choice(peers))


def written(peers):
    lines = [line for peer in peers for line in b"".join(peer.writes).splitlines()]
    return sum(line.startswith(b'{"position"') for line in lines)


def delivered_bytes(peers):
    """The bytes of all pushes that were begun. The rest of each begun one is held, and so it is written too."""
    lines = [line for peer in peers for line in b"".join(peer.writes).splitlines(keepends=True)]
    return sum(len(line) for line in lines if line.startswith(b'{"position"'))


@pytest.mark.parametrize("seed", range(6))
def test_deliveries_are_exact_after_every_slice(world, seed):
    chance = random.Random(seed)
    peers = world.live(3 * CHUNK + 7)
    for _ in range(60):
        disturb(world, peers, chance)
        for _ in range(chance.randrange(3)):
            world.push("x" * chance.choice([0, 0, 0, 0, 0, SPAN // 2]), most=chance.choice([1000, 1000, 3]))
        if world.due:
            world.slice()
        assert world.fan_out.deliveries == written(peers)
        assert world.counts.delivered_bytes == delivered_bytes(peers)
        assert world.counts.listeners == sum(peer.view is not None for peer in peers)
    world.haste = 0.0
    world.all()
    assert world.fan_out.deliveries == world.counts.deliveries == written(peers) > 1000
    assert world.counts.delivered_bytes == delivered_bytes(peers)


def lags(world):
    return {bound: count for bound, count in zip([*BOUNDS, None], world.fan_out.lag.counts, strict=True) if count}


def test_lag_is_that_of_the_oldest_push_once_a_pass(world):
    world.live(2 * CHUNK)
    world.push()
    world.time += 0.3
    world.push()
    world.time += 0.1
    world.all()
    assert lags(world) == {0.5: 1}
    assert world.fan_out.lag.total == pytest.approx(0.4)


def test_lag_of_a_push_during_a_pass_begins_with_it(world):
    world.live(2 * CHUNK)
    world.push()
    world.time += 2.0
    world.haste = LONGEST
    world.slice()
    world.haste = 0.0
    world.push()
    world.time += 0.04
    world.all()
    assert lags(world) == {0.05: 1, 2.5: 1}


def test_push_at_the_end_of_a_pass_has_a_pass_of_its_own(world):
    world.live(1)
    world.push()
    world.time += 2.0
    world.haste = LONGEST
    world.slice()
    world.haste = 0.0
    world.push()
    world.time += 0.04
    world.all()
    assert lags(world) == {0.05: 1, 2.5: 1}


def test_lag_of_several_writes_ends_with_the_last(world):
    world.live(1)
    for _ in range(3):
        world.push("x" * (SPAN // 2))
    for _ in range(3):
        world.time += 0.2
        world.haste = LONGEST
        world.slice()
    assert lags(world) == {0.25: 1, 0.5: 1, 1.0: 1}


def test_new_push_does_not_hide_the_lag_of_the_rest(world):
    world.live(2 * CHUNK)
    for _ in range(2):
        world.push("x" * (SPAN // 2))
    world.haste = LONGEST
    world.slice()
    world.time += 2.0
    world.push()
    world.haste = 0.0
    world.all()
    assert lags(world) == {2.5: 2}


def test_no_lag_is_observed_without_live_listeners(world):
    (peer,) = world.live(1)
    peer.transition(Event.BLOCKED)
    world.push()
    world.read_again(peer)
    world.all()
    assert lags(world) == {}
    assert world.fan_out.deliveries == 1


# A loss that is told while all listeners are at the head.


def kinds(peer):
    return [frame.get("type", frame.get("position")) for frame in map(json.loads, b"".join(peer.writes).splitlines())]


def lose(world, began):
    world.ring.lose(began)
    world.position = began
    world.registry.lost(world.ring)


def test_loss_at_the_head_is_told_once(world):
    world.push()
    peers = world.live(2)
    lose(world, 50)
    world.all()
    assert {peer.state for peer in peers} == {State.LIVE}
    world.push()
    world.push()
    world.all()
    assert [kinds(peer) for peer in peers] == [["gap", 51, 52]] * 2
    lose(world, 100)
    world.all()
    world.push()
    world.all()
    assert [kinds(peer) for peer in peers] == [["gap", 51, 52, "gap", 101]] * 2


def test_loss_is_told_before_newer_pushes(world):
    (peer,) = world.live(1)
    lose(world, 50)
    world.push()
    world.all()
    assert kinds(peer) == ["gap", 51]


def test_stalled_listener_is_told_a_loss_when_it_reads(world):
    (peer,) = world.live(1)
    peer.takes.append(0)
    world.push()
    world.all()
    assert peer.state is State.STALLED
    lose(world, 50)
    world.all()
    assert kinds(peer) == []
    world.read_again(peer)
    world.all()
    assert kinds(peer) == ["gap", 1]


def test_loss_below_the_cursor_is_not_told(world):
    for _ in range(20):
        world.push()
    (peer,) = world.live(1)
    world.ring.lose(10)
    world.registry.lost(world.ring)
    world.push()
    world.all()
    assert kinds(peer) == [21]


def test_loss_is_told_once_to_a_listener_that_joins_later(world):
    world.push()
    lose(world, 50)
    (peer,) = world.join(cursor=0)
    world.all()
    world.push()
    world.all()
    assert kinds(peer) == ["gap", 1, 51]


def test_loss_of_another_channel_is_not_told(world):
    (peer,) = world.live(1)
    other = RingBuffer.beginning_at(("37282591", "other"), 0)
    other.lose(50)
    world.registry.lost(other)
    world.all()
    assert peer.writes == []


@pytest.mark.parametrize(("secret", "told"), [(False, []), (True, ["gap"])])
def test_loss_of_secret_pushes_is_told_to_those_with_a_key(world, secret, told):
    world.position = 10
    (peer,) = world.join(wants=GroupFilter(secret))
    world.all()
    world.ring.secret.floor = 50
    world.registry.lost(world.ring)
    world.all()
    assert kinds(peer) == told


# Accounts in turn


class Crowd:
    """The listeners of an account in one world, each on an identifier of its own."""

    def __init__(self, world, account, count):
        self.world = world
        self.rings = [RingBuffer.beginning_at((account, f"name{number}"), 0) for number in range(count)]
        self.peers = []
        for ring in self.rings:
            peer = Peer()
            name = ring.channel[1]
            world.registry.enter(peer, {name: ring}, [], lambda: world.position, {name: (GroupFilter(False),)})
            peer.cursor = world.position
            world.fan_out.catch_up(peer)
            self.peers.append(peer)
        world.all()

    def push(self):
        """One push on each identifier."""
        for ring in self.rings:
            self.world.position += 1
            frame = json.dumps({"position": self.world.position}).encode()
            push = Push(ring.channel[1], None, False, self.world.position, frame)
            ring.public.append(push, 1000, 10**9)
            self.world.registry.announce(ring, push)

    @property
    def served(self):
        return sum(len(peer.positions) for peer in self.peers)


def test_push_waits_for_one_view_of_another_account(world):
    flood, quiet = Crowd(world, "flood", 100), Crowd(world, "quiet", 1)
    world.haste = LONGEST  # one pass a slice
    for _ in range(3):
        flood.push()
        world.slice()
        before = flood.served
        quiet.push()
        while not quiet.served:
            world.slice()
        assert flood.served - before <= 2, "the one whose turn it was, and one that was at its end"
        for peer in quiet.peers:
            peer.writes.clear()
    world.all()
    assert flood.served == 300


@pytest.mark.parametrize("counts", [(1, 5, 50), (50, 5, 1), (20, 20, 20)])
def test_accounts_get_equal_parts_while_they_all_wait(world, counts):
    crowds = [Crowd(world, f"account{number}", count) for number, count in enumerate(counts)]
    world.haste = SLICE
    for crowd in crowds:
        crowd.push()
    while world.due:
        waiting = [crowd.served for crowd, count in zip(crowds, counts, strict=True) if crowd.served < count]
        assert max(waiting, default=0) - min(waiting, default=0) <= 1
        world.slice()
    assert [crowd.served for crowd in crowds] == list(counts)


def test_large_view_of_one_account_leaves_slices_to_another(world):
    crowd = Crowd(world, "quiet", 1)
    peers = world.live(10 * CHUNK)
    world.haste = SLICE
    world.push()
    world.slice()
    crowd.push()
    for _ in range(2):
        world.slice()
    assert crowd.served == 1
    assert any(not peer.writes for peer in peers)
    world.all()
    assert all(peer.positions == [1] for peer in peers)
