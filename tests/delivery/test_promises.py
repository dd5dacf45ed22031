"""Ring, view, listener, registry and fan-out together, against a model that keeps every push ever made in a list.

Listeners of all kinds join, part and ask again; pushes come; buffers overrun; time passes; writes come short at any byte.
At the end the bytes of every listener are compared with the promises of section 3 of the contract.
"""

import json
from collections import Counter, deque
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from cometify.core.account import Account
from cometify.core.encodings import (
    EVENTS,
    EVENTS_UNCHUNKED,
    POLL,
    STREAM,
    STREAM_UNCHUNKED,
    WEBSOCKET,
    WEBSOCKET_DEFLATED,
)
from cometify.core.errors import Refused
from cometify.core.identifier import Identifier
from cometify.core.join_pace import JoinPace
from cometify.core.listen_request import listen_request_from_frame
from cometify.core.listener import Listener
from cometify.core.listener_state import Event, State
from cometify.core.push import Draft, Push, Receipt
from cometify.core.quota import Quota
from cometify.core.ring import RingBuffer
from cometify.delivery.fanout import LONGEST, SLICE, FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.delivery.registry import Registry
from cometify.delivery.token_expiry import TokenExpiry
from cometify.delivery.wide_channels import VIEWS
from cometify.engine.memory import MemoryEngine
from cometify.membership.membership import Membership
from tests.delivery.model import SECOND, Asked, Audit, Kept, Listen, Made, Moment, frames_of, listen
from tests.wire import API_KEY, API_SECRET, jwt, secure_key

NAMES = ("chat", "Metrics", "tweets_2")
FOLDED = tuple(name.lower() for name in NAMES)
START = 1_764_000_000_000_000
TOKEN = jwt({"exp": START // SECOND + 1, "identifiers": ["Chat", "MET*"]})
HEARTBEAT = 3
FORMS = {
    "websocket": WEBSOCKET,
    "websocket+deflated": WEBSOCKET_DEFLATED,
    "stream": STREAM_UNCHUNKED,
    "stream+chunked": STREAM,
    "events": EVENTS_UNCHUNKED,
    "events+chunked": EVENTS,
    "poll": POLL,
}
OFTEN = ("websocket", "websocket+deflated", "poll")

spellings = st.sampled_from([spelled for name in NAMES for spelled in (name, name.upper(), name.lower())])
push_ids = st.none() | st.integers(0, 8) | st.just(2**53 + 1)
texts = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
    st.sampled_from([1, 1, 1, 40, 3_000, 16_000]),
)
pushes = st.tuples(spellings, texts, st.booleans(), push_ids)
bounds = st.tuples(
    st.sampled_from([1, 2, 3, 5, 1000]),
    st.sampled_from([100, 400, 40_000, 4 * 2**20]),
    st.sampled_from([300, 1500, 100_000, 256 * 2**20]),
)
# The position where a group resumes: none, that of a push (counted from the last) or one beside it, or another.
positions = st.one_of(
    st.none(), st.tuples(st.integers(0, 6), st.integers(-1, 1)), st.sampled_from(["now", "future", "zero", "began"])
)
groups = st.lists(
    st.tuples(
        st.lists(st.integers(0, len(NAMES) - 1), min_size=1, max_size=len(NAMES), unique=True),
        st.booleans(),  # spelled otherwise
        st.none() | st.lists(st.sampled_from([0, 1, 3, 5]), min_size=len(NAMES), max_size=len(NAMES)),
        st.sampled_from(["none", "right", "wrong", "token"]),
        positions,
    ),
    min_size=1,
    max_size=3,
)
# The bytes that the next writes take. Later writes take everything.
takes = st.lists(st.none() | st.sampled_from([0, 1]) | st.integers(0, 400) | st.integers(0, 70_000), max_size=4)


class Peer(Listener):
    """A listener whose connection takes as many bytes as the test says.

    `greedy`: it takes everything and pauses afterwards, as a TLS transport does.
    """

    def __init__(self, promises: "Promises", encoding: str, takes: list[int | None], greedy: bool) -> None:
        super().__init__()
        self.promises = promises
        self.name = encoding
        self.encoding = FORMS[encoding]
        self.takes = deque(takes)
        self.greedy = greedy
        self.stream = bytearray()
        self.starts: list[int] = []
        self.moments: list[Moment] = []
        self.listens: list[Listen] = []
        self.held: list[tuple[int, int]] = []
        self.prefaced = b""
        self.parted_at: int | None = None

    @property
    def is_poll(self) -> bool:
        return self.encoding is POLL

    def _give(self, data: bytes) -> None:
        self.starts.append(len(self.stream))
        self.moments.append(self.promises.kept.moment())
        self.stream += data

    def offer(self, data: bytes) -> int:
        assert data
        assert self.state is not State.STALLED
        if self.is_poll:
            self.promises.membership.part(self, comes_again=True)
            self._give(self.prefaced + data)
            return len(data)
        limit = self.takes.popleft() if self.takes else None
        if self.greedy:
            self._give(data)
            if limit is not None:
                self.transition(Event.BLOCKED)
            return len(data)
        taken = len(data) if limit is None else min(limit, len(data))
        self._give(data[:taken])
        return taken

    def _send(self, data: bytes) -> int:
        assert self.state is State.LIVE
        taken = self.offer(data)
        if data and not taken:
            raise BlockingIOError
        return taken

    def wake(self) -> None:
        self.send = self._send

    def hold(self, rest: bytes) -> None:
        assert self.state is State.STALLED
        self._give(rest)
        self.held.append((len(self.stream) - len(rest), len(self.stream)))

    def beat(self, heartbeat: bytes) -> None:
        if self.is_poll:
            self.offer(heartbeat)
            return
        self._give(heartbeat)
        if self.takes and self.takes.popleft() is not None:
            self.transition(Event.BLOCKED)

    def preface(self, data: bytes) -> None:
        assert self.is_poll
        self.prefaced += data

    def unread(self) -> int:
        return 0

    def end(self, refused: Refused) -> None:
        raise AssertionError(refused.detail)

    def resume(self, takes: list[int | None]) -> None:
        self.takes = deque(takes)
        if self.state is State.STALLED:
            self.transition(Event.WRITABLE)
            self.promises.fan_out.catch_up(self)


class Promises(RuleBasedStateMachine):
    most_views = VIEWS
    """Views whose heads are raised in one step."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = START
        self.haste = 0.0
        self.perf = 0.0
        self.due: deque[Any] = deque()
        self.peers: list[Peer] = []
        self.fan_out = FanOut(lambda _seconds, function: self.due.append(function), self._perf)
        self.registry = Registry(
            self.fan_out.wake, lambda _seconds, function: self.due.append(function), self.most_views
        )
        self.engine = MemoryEngine(lambda: self.clock, self._announce)
        self.announced: list[Push] = []
        self.heartbeats = HeartbeatWheel(HEARTBEAT, lambda _seconds, function: self.due.append(function))
        token_expiry = TokenExpiry(Clock().callLater, lambda: START / SECOND)
        self.membership = Membership(
            self.engine,
            self.registry,
            Quota(),
            self.fan_out,
            self.heartbeats,
            token_expiry,
            lambda: self.clock / SECOND,
            lambda _seconds, function: self.due.append(function),
            JoinPace(None),
        )

    def _announce(self, ring: RingBuffer, push: Push) -> None:
        self.announced.append(push)
        self.registry.announce(ring, push)

    def _perf(self) -> float:
        self.perf += self.haste
        return self.perf

    @initialize(bounds=bounds, older=st.booleans())
    def begin(self, bounds: tuple[int, int, int], older: bool) -> None:
        most_pushes, most_bytes, most_in_all = bounds
        self.account = Account(
            API_KEY,
            (API_SECRET,),
            listeners_per_ip=10**6,
            buffer_pushes=most_pushes,
            buffer_bytes=most_bytes,
            keep_bytes=most_in_all,
        )
        self.kept = Kept(START, most_pushes, most_bytes, most_in_all, FOLDED)
        if older:  # long enough that no gap comes from the beginning of the memory
            self._pass(3600 * SECOND)

    def _pass(self, microseconds: int) -> None:
        self.clock += microseconds
        self.kept.advance(self.clock)

    @property
    def joined(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.state is not State.GONE]

    def _pick(self, number: int) -> Peer:
        return self.joined[number % len(self.joined)]

    @rule(pushes=st.lists(pushes, min_size=1, max_size=5))
    def push(self, pushes: list[tuple[str, tuple[str, int], bool, int | None]]) -> None:
        for spelled, (some, times), secret, push_id in pushes:
            text = some * times
            draft = Draft(Identifier.read(spelled), text, secret, push_id, None)
            receipt = self.engine.append(self.account, draft)
            push = self.announced[-1]
            assert receipt == Receipt(push.position)
            made = Made(spelled.lower(), text, secret, push_id, push.position)
            self.kept.make(made)
            assert push.frame == made.frame
            reached = self.registry.count((API_KEY, made.identifier), secret, push_id)
            assert reached == sum(
                any(share.lets(made) for share in peer.listens[-1].shares.get(made.identifier, ()))
                for peer in self.joined
            )

    @rule(push=pushes, count=st.sampled_from([30, 70]))
    @precondition(lambda self: len(self.kept.pushes) < 100)
    def push_many_alike(self, push: tuple[str, tuple[str, int], bool, int | None], count: int) -> None:
        spelled, (some, _times), secret, push_id = push
        self.push([(spelled, (some, 1), secret, push_id)] * count)

    @rule(
        encoding=st.sampled_from([*FORMS, *OFTEN]), groups=groups, takes=takes, greedy=st.booleans(),
    )  # fmt: skip
    def join(self, encoding: str, groups: Any, takes: list[int | None], greedy: bool) -> None:
        peer = Peer(self, encoding, takes, greedy)
        self.peers.append(peer)
        self._listen(peer, self._asked(groups))

    @rule(encoding=st.sampled_from(["websocket", "stream+chunked"]), groups=groups, count=st.sampled_from([2, 33, 40]))
    @precondition(lambda self: len(self.peers) < 100)
    def join_many_alike(self, encoding: str, groups: Any, count: int) -> None:
        asked = self._asked(groups)
        for _ in range(count):
            self.peers.append(Peer(self, encoding, [], False))
            self._listen(self.peers[-1], asked)

    @rule(number=st.integers(0, 200), groups=groups)
    @precondition(lambda self: self.joined)
    def ask_again(self, number: int, groups: Any) -> None:
        peer = self._pick(number)
        if not peer.is_poll:
            self._listen(peer, self._asked(groups))

    def _asked(self, groups: Any) -> tuple[Asked, ...]:
        asked = []
        for indexes, upper, ids, key, position in groups:
            names = tuple([NAMES[index].upper() if upper else NAMES[index] for index in indexes])
            asked.append(Asked(names, None if ids is None else tuple(ids[: len(names)]), key, self._position(position)))
        return tuple(asked)

    def _position(self, position: Any) -> int | None:
        if isinstance(position, tuple):
            last, beside = position
            made = self.kept.pushes
            return made[-1 - last % len(made)].position + beside if made else None
        return {None: None, "now": self.kept.now, "future": self.kept.now + 1, "zero": 0, "began": START}[position]

    def _listen(self, peer: Peer, groups: tuple[Asked, ...]) -> None:
        asked = []
        for group in groups:
            keys = {"none": None, "right": secure_key(*group.names), "wrong": secure_key(*group.names, "no")}
            names: Any = list(group.names) if group.ids is None else dict(zip(group.names, group.ids, strict=True))
            key = {"token": TOKEN} if group.key == "token" else {"secureKey": keys[group.key]}
            asked.append({"identifiers": names, **key, "position": group.position})
        ask = listen_request_from_frame(json.dumps({"type": "listen", "groups": asked}).encode())
        at = None
        before = peer.listens[-1] if peer.listens else None
        if before is not None:
            assert peer.view is not None
            is_at_head = peer.state is State.LIVE and peer.cursor >= peer.view.newest
            at = before.until = self.kept.now if is_at_head else peer.reached
        self.kept.expire(False)
        expected = listen(self.kept, groups, before, at, poll=peer.is_poll)
        first = not peer.is_poll or any(group.position is None for group in groups)
        results: list[Any] = []
        joined = self.membership.join(peer, self.account, "10.0.0.1", ask, first=first)
        (joined or succeed(None)).addBoth(results.append)
        assert results == [None], results[0].getTraceback()
        peer.listens.append(expected)

    @rule(number=st.integers(0, 200))
    @precondition(lambda self: self.joined)
    def part(self, number: int) -> None:
        peer = self._pick(number)
        peer.parted_at = peer.cursor
        self.membership.part(peer)

    @rule(number=st.integers(0, 200), takes=takes)
    @precondition(lambda self: any(peer.state is State.STALLED for peer in self.peers))
    def resume(self, number: int, takes: list[int | None]) -> None:
        stalled = [peer for peer in self.peers if peer.state is State.STALLED]
        stalled[number % len(stalled)].resume(takes)

    @rule(number=st.integers(0, 200), takes=takes)
    @precondition(lambda self: self.joined)
    def slow_down(self, number: int, takes: list[int | None]) -> None:
        self._pick(number).takes.extend(takes)

    @rule(slices=st.sampled_from([1, 1, 2, 5]), haste=st.sampled_from([0.0, SLICE / 2, LONGEST]))
    @precondition(lambda self: self.due)
    def run_some_slices(self, slices: int, haste: float) -> None:
        self.haste = haste
        for _ in range(slices):
            if self.due:
                self.due.popleft()()

    @rule()
    @precondition(lambda self: self.due)
    def run_all_slices(self) -> None:
        while self.due:
            self.due.popleft()()

    @rule(seconds=st.sampled_from([0.000001, 1, 30, 180, 600]), expire=st.booleans())
    def let_time_pass(self, seconds: float, expire: bool) -> None:
        self._pass(round(seconds * SECOND))
        if expire:
            self._expire()

    @rule(
        last=st.integers(0, 4),
        seconds=st.sampled_from([180, 180, 600, 600, 86_400]),
        beside=st.integers(-1, 1),
        expire=st.booleans(),
    )
    @precondition(lambda self: self.kept.pushes)
    def let_a_push_grow_old(self, last: int, seconds: int, beside: int, expire: bool) -> None:
        """Let a push reach an age that matters, or a microsecond less or more."""
        made = self.kept.pushes
        self._pass(max(0, made[-1 - last % len(made)].position + seconds * SECOND + beside - self.clock))
        if expire:
            self._expire()

    def _expire(self) -> None:
        self.engine.expire()
        self.kept.expire(False, True, bound=False)

    @rule()
    def let_the_wheel_tick(self) -> None:
        self.heartbeats.tick()

    @invariant()
    def listeners_are_counted_by_transport(self) -> None:
        assert self.registry.listeners() == Counter(peer.encoding.name for peer in self.peers if peer.view is not None)

    def teardown(self) -> None:
        if not hasattr(self, "kept"):
            return
        for peer in self.joined:
            peer.resume([])
        self.run_all_slices()
        for name in FOLDED:  # one more each, so that it shows whether all stand where they should
            self.push([(name, ("last", 1), False, None)])
            self.run_all_slices()
        told: Counter[str] = Counter()
        for peer in self.peers:
            settled = peer.state is not State.GONE
            assert peer.state in {State.GONE, State.LIVE}
            frames = frames_of(peer.name, bytes(peer.stream), peer.starts, peer.moments)
            for begin, end in peer.held:
                held = [frame.value["type"] for frame in frames if begin < frame.end <= end]
                assert begin == end or any(frame.end == end for frame in frames), "a frame is held in part"
                assert len(held) <= 1 or {*held} <= {"ready", "gap"}, "more is held than the frame that was begun"
            audit = Audit(self.kept, peer.listens, frames, HEARTBEAT, poll=peer.is_poll)
            audit.check(peer.parted_at, settled=settled)
            told.update(frame.value["type"] for frame in frames)
        assert (self.fan_out.deliveries, self.fan_out.gaps) == (told["push"], told["gap"]), "counted wrongly"


class PromisesOfWideChannels(Promises):
    """Every channel with two views is a wide one, and only one view is raised in each step."""

    most_views = 1


TestPromises = Promises.TestCase
TestPromisesOfWideChannels = PromisesOfWideChannels.TestCase
# Shrinking takes minutes here. The short profile leaves it out, so that a failure is reported at once.
# HYPOTHESIS_PROFILE=shrink finds the same failure and makes it small.
_PHASES = set(Phase) - ({Phase.shrink, Phase.explain} if settings.get_current_profile_name() == "short" else set())
TestPromises.settings = TestPromisesOfWideChannels.settings = settings(
    settings.default, max_examples=settings.default.max_examples * 7 // 10, stateful_step_count=40, phases=_PHASES
)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("secret", [False, True])
def test_later_key_brings_no_push_below_a_told_position(greedy, secret):
    """At the head of a view without secret pushes the cursor is below the position that a heartbeat told."""
    state = Promises()
    state.begin(bounds=(1, 100, 300), older=False)
    state.join("websocket", groups=[([0], False, None, "none", None)], takes=[None, None, 0], greedy=greedy)
    state.push([("chat", ("", 1), each, None) for each in (False, False, secret, True)])
    state.run_all_slices()
    for key in ("none", "right"):
        state.ask_again(number=0, groups=[([0], False, None, key, None)])
        state.let_the_wheel_tick()
        state.let_the_wheel_tick()
        state.run_all_slices()
        state.let_the_wheel_tick()
        state.run_all_slices()
    state.teardown()
