"""The memory of Redis: what is kept and for how long, and the gaps that are told when it was lost."""

from itertools import count

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from twisted.internet.defer import maybeDeferred

from cometify.core.account import Account
from cometify.core.identifier import Identifier
from cometify.core.push import Draft
from cometify.engine.memory import MemoryEngine
from tests.contract.support import API_KEY, API_SECRET, code_of, gaps, kinds, texts
from tests.engine.redis.nodes import Nodes, half_joined, joined
from tests.memory import World
from tests.wire import jwt, request_bytes, secure_key

MINUTE = 60.0
KEY = f"secureKey={secure_key('chat')}"
ALL = ("a", "b", "c")

# No sum of these is within a millisecond of ten minutes, because Redis is not more exact than that when it forgets.
WAITS = [0.000001, 1, 100.01, 299.7, 600.001, 661, 3600]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from(ALL), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("push"), st.sampled_from(ALL), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from(WAITS), st.none(), st.none()),
        st.tuples(st.just("signed"), st.sampled_from(ALL), st.integers(0, 2), st.none()),
        st.tuples(st.just("keyed"), st.sampled_from(ALL), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("once"), st.sampled_from(ALL), st.integers(0, 2), st.none()),
    ),
    min_size=1,
    max_size=25,
)


numbers = count()


def outcome(engine, account, draft):
    """A list with the receipt of a push, or with the code of its refusal, once there is one."""
    found = []
    maybeDeferred(engine.append, account, draft).addCallbacks(
        lambda receipt: found.append((receipt.position, receipt.duplicate, receipt.listeners)),
        lambda failure: found.append(failure.value.code.name),
    )
    return found


@given(
    steps,
    st.sampled_from(
        [(1000, 10**7, 10**7, 9, 9), (3, 10**7, 10**7, 2, 2), (1000, 900, 10**7, 1, 1), (5, 900, 1200, 3, 2)]
    ),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_both_engines_keep_forget_and_refuse_alike(nodes, taken, bounds):
    account = Account(f"example{next(numbers)}", ("s",), 30, *bounds)
    first, second = nodes
    # Both memories must begin in the same microsecond. That of Redis begins right before the first push.
    began = first.clock() - 1
    memory = MemoryEngine(lambda: began, lambda _ring, _push: None)
    memory._clock = first.clock
    redis = first.server.engine
    both = [outcome(engine, account, draft("a", "first")) for engine in (memory, redis)]
    for number, (what, name, size, secret) in enumerate(taken):
        if what == "wait":
            nodes.jump(name)
            continue
        made = draft(name, f"{number}{'x' * size * 150}", secret=bool(secret))
        if what == "signed":
            made = draft(name, str(number), signature=b"%d" % size)
        elif what == "keyed":
            made = draft(name, "the same", secret=bool(secret), key=f"key {size}", listeners=number)
        elif what == "once":
            made = draft(name, str(number), nonce=f"nonce {size}")
        both += [outcome(engine, account, made) for engine in (memory, redis)]
        first.settle()
    # A join drops only public pushes that are too old. A secret push drops the secret ones.
    both += [outcome(engine, account, draft("a", "last", secret=True)) for engine in (memory, redis)]
    first.settle()
    assert both[2::2] == both[3::2]
    reach = dict.fromkeys(ALL, 0)
    rings = []
    for engine in (memory, second.server.engine):
        maybeDeferred(engine.follow, account, lambda _now: reach, ALL).addCallback(rings.append)
    second.settle()
    of_memory, of_redis = [
        {
            name: ([push.frame for push in ring.after(0)], ring.public.floor, ring.secret.floor)
            for name, ring in of.items()
        }
        for of in rings
    ]
    assert of_memory == of_redis
    assert rings[0]["a"].kept_bytes == rings[1]["a"].kept_bytes


def draft(name, text, *, secret=False, **more):
    return Draft(Identifier.read(name), text, secret, None, more.pop("signature", None), **more)


def test_everything_in_redis_expires(nodes):
    first, second = nodes
    first.websocket("identifiers=chat,metrics&listener=12345678")
    second.poll("identifiers=chat:0")
    for number in range(5):
        first.pushed("chat", str(number), secret=number % 2)
    form = "application/x-www-form-urlencoded"
    refused = first.request("POST", f"/{API_KEY}/push/chat", b"text=x&secret=0&secure=no", Content_Type=form)
    assert refused.answer().status == 403
    account = Account(API_KEY, (API_SECRET,))
    outcome(first.server.engine, account, draft("chat", "x", key="key", nonce="nonce"))
    nodes.advance(3)
    keys = nodes.command("KEYS", "*")
    assert {f"cometify:{{{API_KEY}}}:{book}".encode() for book in ("keyed", "nonces", "k:key", "once:nonce")} <= set(
        keys
    )
    left = {key: nodes.command("TTL", key) for key in keys}
    assert left.pop(b"cometify:{.}:schema") == -1  # one for all accounts, for good
    for key in (f"cometify:{{{API_KEY}}}", f"cometify:{{{API_KEY}}}:state"):
        assert 24 * 3600 < left.pop(key.encode()) <= 30 * 24 * 3600
    assert all(0 < seconds <= 25 * 3600 for seconds in left.values()), left


def test_books_of_keys_and_nonces_stay_within_their_bound(nodes):
    account = Account(API_KEY, (API_SECRET,), request_memory=5)
    engine = nodes[0].server.engine
    found = []
    for number in range(40):
        found.append(outcome(engine, account, draft("chat", "x", key=f"{number}", nonce=f"{number}")))
        nodes.settle()
        for book in ("keyed", "nonces"):
            assert nodes.command("LLEN", f"cometify:{{{API_KEY}}}:{book}") <= 5
        nodes.jump(70)
        nodes.find()
    accepted = [told[0] != "too_many_pushes" for told in found]
    assert accepted[:5] == [True] * 5
    assert 0.5 < sum(accepted) / len(accepted) < 0.7


@pytest.mark.parametrize("minutes", [5, 11, 60, 23 * 60])
@pytest.mark.parametrize("where", [0, 1])
def test_gap_is_told_only_if_a_push_was_missed(nodes, minutes, where):
    """The last dropped push is known for a day, on every node."""
    nodes[0].pushed("chat", "had")
    position = nodes[0].poll("identifiers=chat").frames()[-1]["position"]
    nodes[1].pushed("metrics", "on another identifier")
    nodes.jump(minutes * MINUTE)
    nodes.find()
    frames = nodes[where].stream(f"identifiers=chat&position={position}").frames()
    assert kinds(frames) == ["ready", "heartbeat"]
    frames = nodes[where].stream(f"identifiers=metrics&position={position}").frames()
    if minutes < 10:
        assert texts(frames) == ["on another identifier"]
    else:
        assert (gaps(frames), texts(frames)) == ([["metrics"]], [])


def test_account_quiet_for_days_has_no_gap(nodes):
    first, second = nodes
    first.pushed("chat", "one")
    nodes.jump(3 * 24 * 60 * MINUTE)
    frames = second.poll("identifiers=chat:0").frames()
    assert kinds(frames) == ["ready", "heartbeat"]


def test_pushes_that_redis_expired_are_a_gap(nodes):
    first, second = nodes
    at = first.pushed("chat", "one")
    last = first.pushed("chat", "two")
    nodes.jump(20 * MINUTE)
    assert nodes.command("EXISTS", f"cometify:{{{API_KEY}}}:public:chat") == 0
    assert gaps(second.poll(f"identifiers=chat&position={at}").frames()) == [["chat"]]
    assert not second.poll(f"identifiers=chat&position={last}").answered
    assert gaps(second.poll(f"identifiers=chat:0&position={at - 1}").frames()) == [["chat"]]
    first.pushed("chat", "three")
    assert texts(second.poll(f"identifiers=chat&position={last}").frames()) == ["three"]


# An emptied Redis.


@pytest.mark.parametrize(
    "query", ["identifiers=chat", "identifiers=chat:0", "identifiers=chat:5", f"identifiers=chat&{KEY}"]
)
@pytest.mark.parametrize("transport", ["websocket", "stream", "events"])
def test_emptied_redis_is_one_gap_for_every_listener(nodes, transport, query):
    wires = [
        joined(getattr(world, transport)(query)) if transport != "events" else events(world, query) for world in nodes
    ]
    nodes[0].pushed("chat", "before", push_id=6)
    nodes.settle()
    assert [texts(wire.frames()) for wire in wires] == [["before"]] * 2
    nodes.command("FLUSHALL")
    nodes.advance(2)
    nodes[1].pushed("chat", "after", push_id=7)
    nodes.advance(2)
    for wire in wires:
        frames = [frame for frame in wire.frames() if frame["type"] != "heartbeat"]
        assert kinds(frames) == ["gap", "push"], frames
        assert (gaps(frames), texts(frames)) == ([["chat"]], ["after"])
    nodes.advance(30)
    assert {kind for wire in wires for kind in kinds(wire.frames())} == {"heartbeat"}
    assert nodes[0].pushed("chat", "later") > nodes[0].clock() - 1_000_000


def events(world, query):
    wire = world.request("GET", f"/{API_KEY}/events?{query}")
    return joined(wire)


def test_emptied_redis_is_told_if_a_push_comes_first(nodes):
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    nodes[0].pushed("chat", "before")
    nodes.advance(0.1)
    nodes.command("FLUSHALL")
    nodes[0].pushed("chat", "after")
    nodes.settle()
    for wire in wires:
        assert [frame for frame in kinds(wire.frames()) if frame != "heartbeat"] == ["push", "gap", "push"]


def test_emptied_redis_is_a_gap_for_a_waiting_poll(nodes):
    nodes[0].pushed("chat", "before")
    nodes.advance(1)
    poll = nodes[0].poll(f"identifiers=chat&position={nodes[0].clock()}")
    assert not poll.answered
    nodes.command("FLUSHALL")
    nodes.advance(2)
    frames = poll.frames()
    assert kinds(frames) == ["gap", "heartbeat"]
    again = nodes[1].poll(f"identifiers=chat&position={frames[-1]['position']}")
    assert not again.answered
    nodes[1].pushed("chat", "after")
    assert texts(again.frames()) == ["after"]


# A Redis that has gone back in time.


@pytest.mark.parametrize("first_back", [0, 1])
def test_redis_gone_back_in_time_is_a_gap(nodes, first_back):
    """For example a replica was promoted before it had the last pushes."""
    one, two = nodes
    wires = [joined(one.websocket("identifiers=chat")), joined(two.websocket("identifiers=metrics"))]
    seen = one.pushed("chat", "kept")
    nodes.settle()
    state = nodes.state()
    one.pushed("chat", "lost")
    nodes.settle()
    assert texts(wires[0].frames()) == ["kept", "lost"]
    nodes.go_back(state)
    nodes.cut()
    order = [nodes[first_back], nodes[1 - first_back]]
    for world in order:
        for _ in range(12):  # the first node must not hide it from the second
            world.reactor.advance(0.5)
            world.settle()
    nodes.find()
    nodes.advance(2)
    assert [gaps(wire.frames()) for wire in wires] == [[["chat"]], [["metrics"]]]
    late = World(beside=one)
    for world in (*nodes, late):
        frames = world.poll(f"identifiers=chat&position={seen}").frames()
        assert gaps(frames) == [["chat"]]
    two.pushed("chat", "after")
    nodes.settle()
    assert texts(wires[0].frames()) == ["after"]


def test_going_back_is_noticed_behind_later_pushes(nodes):
    one, two = nodes
    wire = joined(one.websocket("identifiers=chat"))
    seen = one.pushed("chat", "kept")
    nodes.settle()
    state = nodes.state()
    one.pushed("chat", "lost")
    nodes.settle()
    nodes.go_back(state)
    nodes.cut()
    for _ in range(12):
        two.reactor.advance(0.5)
        two.settle()
    two.pushed("chat", "after")
    nodes.find()
    nodes.advance(2)
    frames = [frame for frame in wire.frames() if frame["type"] != "heartbeat"]
    assert kinds(frames) == ["push", "push", "gap", "push"]
    assert gaps(World(beside=one).poll(f"identifiers=chat&position={seen}").frames()) == [["chat"]]


def test_watermark_of_an_old_primary_is_a_gap(nodes):
    """One node was cut off from the other together with the old primary, which went on to tell it the time."""
    one, two = nodes
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    seen = one.pushed("chat", "kept")
    nodes.settle()
    old = nodes.state()
    nodes.cut(one)
    two.pushed("chat", "theirs")
    two.settle()
    new = nodes.state()
    nodes.cut(two)
    nodes.go_back(old)
    for _ in range(12):
        one.reactor.advance(0.5)
        one.settle()
    nodes.cut()
    nodes.go_back(new)
    nodes.find()
    nodes.advance(2)
    two.pushed("chat", "after")
    nodes.settle()
    told = [wire.frames() for wire in wires]
    assert [gaps(frames) for frames in told] == [[["chat"]], [["chat"]]]
    assert [texts(frames) for frames in told] == [["kept", "after"], ["kept", "theirs", "after"]]
    assert gaps(World(beside=one).poll(f"identifiers=chat&position={seen}").frames()) == [["chat"]]
    nodes.cut()
    nodes.find()
    nodes.advance(2)
    assert [gaps(wire.frames()) for wire in wires] == [[], []]


def test_redis_that_was_only_away_is_no_gap(nodes):
    one, _two = nodes
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    texts_ = []
    for round_ in range(3):
        texts_.append(f"{round_}")
        one.pushed("chat", texts_[-1])
        nodes.cut()
        nodes.find()
        nodes.advance(1)
    for wire in wires:
        frames = wire.frames()
        assert (gaps(frames), texts(frames)) == ([], texts_)


def test_nonce_is_not_taken_for_a_node(nodes):
    """Nonces and the names of nodes must not share their keys in Redis."""
    first, second = nodes
    account = first.server.accounts.get(API_KEY)
    joined(first.websocket("identifiers=chat"))
    names = [key.rpartition(b":")[2].decode() for key in nodes.command("KEYS", "*:n:*")]
    assert len(names) == 1
    sealed = Draft(Identifier.read("chat"), "x", False, None, None, nonce=names[0])
    found = []
    for world in (second, first):
        found.append(outcome(world.server.engine, account, sealed))
        nodes.settle()  # otherwise Redis may hear the other node first
    assert len(found[0][0]) == 3
    assert found[1] == ["nonce_reused"]


# Clocks.


def test_positions_grow_after_the_clock_is_put_back(nodes):
    one, _two = nodes
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    made = [one.pushed("chat", "a")]
    for world in nodes:
        world.skew = -100_000_000
    nodes.cut()
    nodes.find()
    for number in range(6):
        made.append(nodes[number % 2].pushed("chat", str(number)))
        nodes.advance(1)
    assert made == sorted(set(made))
    for wire in wires:
        frames = wire.frames()
        assert (gaps(frames), texts(frames)) == ([], ["a", *map(str, range(6))])


@pytest.mark.parametrize("notices", [0, 1])
def test_positions_grow_in_an_emptied_redis_with_a_late_clock(nodes, notices):
    wires = [joined(world.websocket("identifiers=chat")) for world in nodes]
    before = nodes[0].pushed("chat", "before")
    nodes.settle()
    nodes.command("FLUSHALL")
    for world in nodes:
        world.skew = -100_000_000
    nodes.settle()  # which sets the clock of Redis
    after = nodes[notices].pushed("chat", "after")
    assert after > before
    nodes.advance(3)
    for wire in wires:
        frames = [frame for frame in wire.frames() if frame["type"] != "heartbeat"]
        assert texts(frames) == ["before", "after"]
        assert kinds(frames) in (["push", "push"], ["push", "gap", "push"])


def test_clock_jump_of_an_hour_loses_no_new_push(nodes):
    one, two = nodes
    wire = joined(two.websocket("identifiers=chat"))
    one.pushed("chat", "before")
    nodes.jump(3600)
    one.pushed("chat", "after")
    nodes.advance(2)
    frames = wire.frames()
    assert (gaps(frames), texts(frames)) == ([], ["before", "after"])


# Accounts that change while a listener joins.


@pytest.mark.parametrize("transport", ["websocket", "stream"])
@pytest.mark.parametrize("turns", range(8))
def test_secret_revoked_while_joining_gives_no_right(nodes, transport, turns):
    world, other = nodes
    world.pushed("chat", "before", secret=1)
    wire = world.connect()
    wire.is_websocket = transport == "websocket"
    wire.transport.protocol.dataReceived(
        request_bytes(
            "GET", f"/{API_KEY}/{transport}?identifiers=chat:0&{KEY}", headers=UPGRADE if wire.is_websocket else {}
        )
    )
    for _ in range(turns):
        world.reactor.advance(0)
        world.reactor.pump()
    world.server.change_accounts(type(world.server.settings)((Account(API_KEY, ("another",)),)))
    nodes.settle()
    frames = wire.frames()
    readies = [frame for frame in frames if frame["type"] == "ready"]
    assert readies[-1]["secret"] == []
    assert len(readies[-1]["warnings"]) == 1
    assert texts(frames) == ["before"] * (len(readies) - 1)
    other.pushed("chat", "after", secret=1)
    other.pushed("chat", "public")
    nodes.settle()
    assert texts(wire.frames()) == ["public"]


def test_only_the_node_that_saw_a_drop_knows_its_push_id(nodes):
    here, there = nodes
    for world in nodes:
        small = Account(API_KEY, (API_SECRET,), buffer_pushes=2)
        world.server.change_accounts(type(world.server.settings)((small,)))
    here.stream("identifiers=chat")
    nodes.advance(181, 5)
    first = here.pushed("chat", "1", push_id=1) - 1
    for push_id in (2, 3, 4):
        here.pushed("chat", f"{push_id}", push_id=push_id)
    nodes.settle()
    for world, told in ((here, []), (there, [["chat"]])):
        assert gaps(world.poll("identifiers=chat:2").frames()) == told
    for world in nodes:
        for query in ("chat:1", "chat:0", f"chat&position={first}", f"chat:1&position={first}"):
            assert gaps(world.poll(f"identifiers={query}").frames()) == [["chat"]]
    # The session is lost. This node sees nothing of the pushes that are dropped meanwhile.
    nodes.cut(here)
    for push_id in (5, 6, 7):
        there.pushed("chat", f"{push_id}", push_id=push_id)
    nodes.advance(5, 1)
    assert gaps(here.poll("identifiers=chat:5").frames()) == [["chat"]]


@pytest.mark.parametrize("transport", ["stream", "events", "poll"])
@pytest.mark.parametrize("turns", range(4))
def test_listener_ended_while_joining_is_told_why(nodes, transport, turns):
    world = nodes[0]
    settings = world.server.settings

    # Each time another identifier, because joining takes fewer turns where the node follows the identifier already.
    def ended(by, query):
        wire = half_joined(world, transport, query, turns)
        by()
        world.settle()
        return wire.body().decode() if wire.head[0] == 200 else code_of(wire.answer())

    removed = ended(lambda: world.server.change_accounts(type(settings)((Account("2", ("s",)),))), "identifiers=chat")
    world.server.change_accounts(settings)
    same = "identifiers=metrics&listener=12345678"
    replaced = ended(lambda: world.websocket(same), same)
    membership = world.server.membership
    drained = ended(lambda: membership.send_away(membership.close(lambda: 1), lambda: 1), "identifiers=tweets")
    assert "not_authorized" in removed
    assert "replaced" in replaced
    assert "draining" in drained or '"reconnect"' in drained


@pytest.mark.parametrize("transport", ["stream", "events", "poll"])
def test_token_revoked_while_joining_leaves_no_slot(nodes, transport):
    world = nodes[0]
    settings = world.server.settings
    token = jwt({"exp": world.wall() + 600, "identifiers": ["chat"]})
    wire = half_joined(world, transport, f"identifiers=chat&token={token}", 1)
    world.server.change_accounts(type(settings)((Account(API_KEY, ("another",)),)))
    world.settle()
    assert b"invalid_token" in wire.body()
    assert len(world.server.membership) == 0


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


# Floors of many identifiers.


def floors_of(nodes: Nodes, kind: str) -> int:
    return nodes.command("ZCARD", f"cometify:{{{API_KEY}}}:floors:{kind}")


@pytest.fixture
def few_floors(monkeypatch):
    """Both engines keep the floors of three identifiers of each kind apart."""
    monkeypatch.setattr("cometify.engine.redis.pushes.MOST_FLOORS", 3)


def test_floors_of_many_identifiers_are_bounded(nodes, few_floors):
    first, _second = nodes
    for number in range(30):
        first.pushed(f"order_{number}", "x", secret=number % 2)
        nodes.jump(11 * MINUTE)
    assert floors_of(nodes, "public") <= 4
    assert floors_of(nodes, "secret") <= 4
    infos = nodes.command("KEYS", f"cometify:{{{API_KEY}}}:info:*")
    assert len(infos) <= 8
    state = nodes.command("HMGET", f"cometify:{{{API_KEY}}}:state", "public_bytes", "secret_bytes")
    assert sum(map(int, state)) <= 2 * 200, "what was dropped is not counted any longer"


@pytest.mark.parametrize("where", [0, 1])
def test_identifier_whose_floor_went_to_the_others_still_has_its_gap(nodes, few_floors, where):
    first, _second = nodes
    before = first.pushed("order_0", "seen")
    first.pushed("order_0", "lost")
    for number in range(1, 12):
        nodes.jump(11 * MINUTE)
        first.pushed(f"order_{number}", "x")
    assert nodes.command("EXISTS", f"cometify:{{{API_KEY}}}:info:order_0") == 0
    assert gaps(nodes[where].stream(f"identifiers=order_0&position={before}").frames()) == [["order_0"]]
    # A push there begins a ring that knows of the loss.
    newest = first.pushed("order_0", "new")
    assert gaps(nodes[where].stream(f"identifiers=order_0&position={before}").frames()) == [["order_0"]]
    assert gaps(nodes[where].stream(f"identifiers=order_0&position={newest}").frames()) == []


def test_secret_floors_that_are_forgotten_tell_nothing_to_the_public(nodes, few_floors):
    first, _second = nodes
    before = first.pushed("order_0", "seen")
    for number in range(1, 12):
        nodes.jump(11 * MINUTE)
        first.pushed(f"order_{number}", "x", secret=1)
    assert gaps(first.stream(f"identifiers=order_11&position={before}").frames()) == []


def test_failover_is_not_seen_in_a_floor_that_was_forgotten(nodes, few_floors):
    """A node asks after a lost session for the last push that it knows of. Its identifier may have been forgotten meanwhile."""
    first, second = nodes
    listener = joined(second.stream("identifiers=order_0"))
    first.pushed("order_0", "heard")
    nodes.settle()
    assert texts(listener.frames()) == ["heard"]
    for number in range(1, 12):
        nodes.jump(11 * MINUTE)
        first.pushed(f"order_{number}", "x")
    nodes.advance(3)  # its heartbeats bring the listener up to now
    nodes.cut(second)
    nodes.find()
    assert gaps(listener.frames()) == []


def test_identifiers_with_kept_pushes_keep_their_floors(nodes, few_floors):
    first, _second = nodes
    positions = [first.pushed(f"order_{number}", "x") for number in range(20)]
    frames = first.stream(f"identifiers=order_0&position={positions[0] - 1}").frames()
    assert (texts(frames), gaps(frames)) == (["x"], [])
    assert floors_of(nodes, "public") == 20
