"""Section 3: a push that a listener may not see leaves no trace in what it gets, in what it is charged, or in what is kept.

The main test runs two servers side by side. Both get the same requests at the same times, and only the second one gets secret
pushes. Everybody without a key must get the same bytes from both, refusals too.

The clock advances between two requests. A position is at least the time in microseconds, so that a secret push takes no
position that a public one would have had.
"""

import json
import re
import sys
from collections import Counter
from statistics import median
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET, gaps, kinds, refusal, texts
from tests.memory import Wire, World
from tests.redis import RedisServer
from tests.wire import request_bytes, secure_key

NAMES = ("chat", "metrics", "tweets")
STRANGERS = ("10.0.0.1", "10.0.0.2")
KEYED = "10.0.0.3"

names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
# The identifier, the length of the text, the push_id, and True for a secret push, which only the second world gets.
pushes = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, "chat", "chat"]),
        st.sampled_from([1, 1, 1, 150, 3_000]),
        st.none() | st.integers(0, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
# For each group: its identifiers, their internal id, and how far back it resumes.
asked = st.lists(
    st.tuples(names, st.sampled_from([None, 0, 0, 3, 5]), st.none() | st.integers(0, 12)), min_size=1, max_size=2
)
transports = st.sampled_from(["websocket", "stream", "events", "poll", "poll"])


def groups_of(groups: Any, positions: list[int], *, keyed: bool = False) -> list[dict[str, Any]]:
    """The groups of a `listen` frame. Resumes at a public position that both worlds gave, or right before it."""
    found = []
    for those, internal_id, back in groups:
        group: dict[str, Any] = {"identifiers": those if internal_id is None else dict.fromkeys(those, internal_id)}
        if back is not None and positions:
            group["position"] = positions[-1 - back // 2 % len(positions)] - back % 2
        if keyed:
            group["secureKey"] = secure_key(*those)
        found.append(group)
    return found


class TwoWorlds:
    """Each public method is a step. `redis`: where both worlds keep their pushes, or None for the memory engine."""

    def __init__(self, redis: RedisServer | None, account: Account) -> None:
        World.redis, World.eager = redis, redis is None
        self.worlds = [World(account) for _ in range(2)]
        self.strangers: list[list[Wire]] = []
        self.seen: list[list[bytes]] = []
        self.asking: list[tuple[list[Wire], dict[str, Any]]] = []
        self.others: list[Wire] = []
        self.positions: list[int] = []

    def _pass(self, seconds: float) -> None:
        for world in self.worlds:
            world._suspended += round(seconds * 1_000_000)
        for world in self.worlds:
            world.settle()

    def push(self, pushes: Any) -> None:
        for name, size, push_id, secret in pushes:
            self._pass(0.001)
            if secret:  # the only difference between the worlds
                self.worlds[1].pushed(name, "s" * size, 1, push_id)
            else:
                made = [world.pushed(name, "p" * size, 0, push_id) for world in self.worlds]
                assert made[0] == made[1]
                self.positions.append(made[0])

    def join(self, transport: str, groups: Any, host: str, named: bool) -> None:
        self._pass(0.001)
        frame: dict[str, Any] = {"type": "listen", "groups": groups_of(groups, self.positions)}
        if named:
            frame["listener"] = f"listener{len(self.strangers)}"
        wires = [self._joined(world, transport, frame, host) for world in self.worlds]
        self.strangers.append(wires)
        self.seen.append([b"" for _ in wires])
        if transport in {"poll", "websocket"}:
            self.asking.append((wires, frame))

    def _joined(self, world: World, transport: str, frame: dict[str, Any], host: str) -> Wire:
        if transport == "websocket":
            wire = world.websocket(host=host)
            wire.listen(*frame["groups"], **{name: value for name, value in frame.items() if name == "listener"})
            return wire
        return _asked(world.connect(host), transport, frame)

    def ask_again(self, number: int, groups: Any) -> None:
        """Poll again on the same connection, as a page does, or send another `listen` frame."""
        self._pass(0.001)
        if not self.asking:
            return
        wires, frame = self.asking[number % len(self.asking)]
        for wire in wires:
            if wire.is_websocket:
                wire.listen(*groups_of(groups, self.positions))
            else:
                resumed = groups_of([(names, None, groups[0][2] or 0) for names, _id, _back in groups], self.positions)
                _asked(wire, "poll", {**frame, "groups": resumed})

    def join_with_key(self, transport: str, groups: Any) -> None:
        """Somebody who may see the secret pushes, whose bytes are not compared."""
        self._pass(0.001)
        frame = {"type": "listen", "groups": groups_of(groups, self.positions, keyed=True)}
        self.others += [self._joined(world, transport, frame, KEYED) for world in self.worlds]

    def disturb(self, number: int, change: str) -> None:
        if change == "leave with a key":
            while self.others:
                self.others.pop().lose()
            return
        for wire in self.strangers[number % len(self.strangers)] if self.strangers else ():
            if change == "leave":
                wire.lose()
            elif wire.transport.connected:
                getattr(wire, change)()

    def wait(self, seconds: float) -> None:
        """Timers fire in a short wait: heartbeats, and what expires. A long one is that of a machine that is suspended."""
        if seconds > 5:
            self._pass(seconds)
            return
        while seconds > 0:
            for world in self.worlds:
                world.advance(min(seconds, 0.5))
            seconds -= 0.5

    def strangers_get_the_same_bytes(self) -> None:
        for wires, seen in zip(self.strangers, self.seen, strict=True):
            for number, wire in enumerate(wires):
                wire._take()
                seen[number] += wire._data
                wire._data = b""
            assert _dateless(seen[0]) == _dateless(seen[1])
            assert wires[0].transport.connected == wires[1].transport.connected


def _asked(wire: Wire, transport: str, frame: dict[str, Any]) -> Wire:
    wire.receive(request_bytes("POST", f"/{API_KEY}/{transport}", json.dumps(frame).encode()))
    return wire


def _dateless(data: bytes) -> bytes:
    """The bytes without the one header that tells the time of the machine."""
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"", data)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), pushes),
        st.tuples(st.just("push"), pushes),
        st.tuples(st.just("join"), transports, asked, st.sampled_from(STRANGERS), st.booleans()),
        st.tuples(st.just("join"), transports, asked, st.sampled_from(STRANGERS), st.booleans()),
        st.tuples(st.just("join_with_key"), transports, asked),
        st.tuples(st.just("ask_again"), st.integers(0, 30), asked),
        st.tuples(
            st.just("disturb"),
            st.integers(0, 30),
            st.sampled_from(["leave", "leave with a key", "stop_reading", "read_again"]),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 2, 5, 30, 180, 600, 660, 90_000])),
    ),
    min_size=10,
    max_size=40,
)
bounds = st.sampled_from([(2, 10**6, 10**7), (1000, 700, 10**7), (1000, 10**6, 900), (1000, 10**6, 10**7)])


def test_strangers_cannot_tell_that_there_are_secret_pushes(engine):
    redis = World.redis

    @given(steps, bounds, st.sampled_from([2, 30, 30]))
    @settings(max_examples=100 if redis is None else 25, suppress_health_check=[HealthCheck.too_slow])
    def in_any_order(taken: Any, bounds: tuple[int, int, int], listeners: int) -> None:
        both = TwoWorlds(redis, Account(API_KEY, (API_SECRET,), listeners, *bounds))
        try:
            for what, *arguments in taken:
                getattr(both, what)(*arguments)
                both.strangers_get_the_same_bytes()
        finally:
            World.end_all()
            if redis is not None:
                redis.command("FLUSHALL")

    try:
        in_any_order()
    finally:
        World.redis = redis


def small(**limits: int) -> World:
    return World(Account(API_KEY, (API_SECRET,), **limits))


def test_replay_budget_charges_no_hidden_bytes():
    world = small(listeners_per_ip=1)
    for _ in range(40):
        world.pushed("chat", "x" * 65_000, 1)
    statuses = {world.poll("identifiers=chat:0&listener=12345678").head[0] for _ in range(30)}
    assert statuses == {200}
    query = f"identifiers=chat:0&listener=12345678&secureKey={secure_key('chat')}"
    counts = [world.poll(query, host="10.0.0.2").head[0] for _ in range(30)].count(200)
    assert counts == 26  # 64 MiB of 40 texts of 65,000 bytes and their frames


@pytest.mark.parametrize(
    ("limits", "many", "size"),
    [({"buffer_pushes": 9}, 9, 10), ({"buffer_bytes": 9_000}, 9, 1_000), ({"keep_bytes": 9_000}, 9, 1_000)],
)
@pytest.mark.parametrize("hidden", [0, 1])
def test_kind_of_pushes_drives_none_of_the_other_out(limits, many, size, hidden):
    """Also the other way round: public pushes drive no secret ones out."""
    world = small(**limits)
    at = world.pushed("chat", "first", 1 - hidden)
    for _ in range(many):
        world.pushed("chat", "x" * size, hidden)
        world.pushed("metrics", "x" * size, hidden)
    query = f"identifiers=chat&position={at - 1}"
    keyed = f"{query}&secureKey={secure_key('chat')}"
    frames = world.stream(query if hidden else keyed).frames()
    assert "first" in texts(frames)
    if hidden:
        assert gaps(frames) == []
    for _ in range(many + 1):
        world.pushed("chat", "y" * size, 1 - hidden)
    frames = world.stream(query if hidden else keyed).frames()
    assert gaps(frames) == [["chat"]]
    assert "first" not in texts(frames)


def test_used_up_budget_does_not_tell_who_is_listened_to():
    world = small(listeners_per_ip=1)
    joined = world.stream("identifiers=followed", host="10.0.0.2")
    assert kinds(joined.frames()) == ["ready", "heartbeat"]
    spent = world.stream("listener=12345678&identifiers=" + ",".join(f"name{number}" for number in range(100)))
    assert kinds(spent.frames()) == ["ready", "heartbeat"]
    for name in ("followed", "unknown"):
        wire = world.stream(f"listener=12345678&identifiers={name}")
        assert refusal(wire) == ("too_many_listeners", 429)
    assert kinds(world.stream("listener=12345678&identifiers=name7").frames()) == ["ready", "heartbeat"]


def test_later_key_gets_the_secret_pushes_from_before():
    """Over Redis, the rings of a node have no secret pushes until somebody joins who may see them."""
    world = small()
    first = world.pushed("chat", "public one")
    world.pushed("chat", "secret one", 1)
    listener = world.websocket("identifiers=chat:0")
    assert texts(listener.frames()) == ["public one"]
    world.pushed("chat", "secret two", 1)
    world.pushed("chat", "public two")
    assert texts(listener.frames()) == ["public two"]
    query = f"identifiers=chat&position={first - 1}&secureKey={secure_key('chat')}"
    for _ in range(2):
        frames = world.stream(query).frames()
        assert (gaps(frames), texts(frames)) == ([], ["public one", "secret one", "secret two", "public two"])


def calls_of_a_join(world: World, transport: str, query: str) -> int:
    """Count the function calls that a join makes, those into C too."""
    events: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: events.update([event]))
    try:
        getattr(world, transport)(query)
    finally:
        sys.setprofile(None)
    return events["call"] + events["c_call"]


@pytest.mark.memory("over Redis the commands are counted: see tests/engine/redis/test_hidden_pushes.py")
@pytest.mark.parametrize("transport", ["poll", "stream"])
@pytest.mark.parametrize("minutes", [1, 4, 11], ids=["fresh", "too old for the replay", "due to be dropped"])
@pytest.mark.parametrize("query", ["chat:0", "chat:5", "chat"])
def test_join_does_the_same_work_whatever_is_hidden(transport, minutes, query):
    """Else its time would tell of secret pushes."""
    counts = []
    for hidden in (0, 1000):
        world = small()
        world.pushed("chat", "public", 0, 3)
        for _ in range(hidden):
            world.pushed("chat", "secret", 1, 9)
        world.pushed("chat", "public", 0, 4)
        world._suspended += minutes * 60 * 1_000_000
        counts.append([calls_of_a_join(world, transport, f"identifiers={query}") for _ in range(8)])
    # The first join fills caches. A garbage collection, or a new second in the Date header, can add calls to another one.
    assert median(within - without for without, within in list(zip(*counts, strict=True))[1:]) == 0
    assert counts[0][1] > 100
