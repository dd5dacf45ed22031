"""Tokens: a right to secret pushes that expires, on every transport. The tests move the time, the wall clock too."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    OPEN,
    TRANSPORTS,
    by_frame,
    by_query,
    gaps,
    kinds,
    positions,
    post,
    refusal,
    texts,
)  # fmt: skip
from tests.memory import World
from tests.wire import form, jwt, request_bytes, secure, secure_key

REFUSED = {"websocket": ("invalid_token", 4001)}
"""The second value of `refusal` by transport. All other transports answer 403."""


def refused_as(transport):
    return REFUSED.get(transport, ("invalid_token", 403))


def told(wire, transport, *left, lost=1):
    """The positions at which a right ended, or None of a poll that was refused. A stream ends in order behind them.

    `left`: the identifiers that it still has a right to. `lost`: the groups whose token has expired.
    """
    if transport == "poll":
        assert refusal(wire) == ("invalid_token", 403)
        return None
    ready, *rest = wire.frames()
    assert (ready["type"], ready["secret"]) == ("ready", list(left))
    assert len(ready["warnings"]) == lost
    assert all("it has expired" in warning for warning in ready["warnings"])
    if transport == "stream":
        assert kinds(rest) in (["heartbeat", "(end)"], ["(end)"])
    else:
        assert kinds(rest) == ["heartbeat"]
    assert wire.transport.disconnecting == (transport == "stream")
    return ready["positions"]


def waits(world, transport, names="chat", **more):
    """Listen with a token for `names`, from now on. A poll waits."""
    token = world.token(*names.split(","), **more)
    wire = by_query(world, transport, f"identifiers={names}&token={token}&position={world.clock()}")
    if transport != "poll":
        assert kinds(wire.frames()) == ["ready", "heartbeat"]
    return wire


# The right.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_token_lets_secret_pushes_through_live_and_in_replay(world, transport):
    for name in ("chat", "room_7", "news"):
        world.pushed(name, f"secret {name}", secret=1)
        world.pushed(name, f"public {name}")
    query = f"identifiers=chat:0,Room_7:0,news:0&token={world.token('CHAT', 'room_*')}"
    wire = by_query(world, transport, query)
    frames = wire.frames()
    assert frames[0]["secret"] == ["chat", "room_7"]
    assert frames[0]["warnings"] == []
    assert texts(frames) == ["secret chat", "public chat", "secret room_7", "public room_7", "public news"]
    if transport != "poll":
        assert [world.push(name, "live", secret=1).json["listeners"] for name in ("chat", "room_7", "news")] == [
            1,
            1,
            0,
        ]
        world.pushed("news", "live, public")
        assert texts(wire.frames()) == ["live", "live", "live, public"]


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_a_frame_has_a_token_for_each_group(world, transport):
    groups = (
        {"identifiers": ["chat"], "token": world.token("chat")},
        {"identifiers": {"news": 0}, "token": world.token("other")},
        {"identifiers": ["metrics"], "secureKey": secure_key("metrics")},
    )
    ready = by_frame(world, transport, *groups).frames()[0]
    assert ready["secret"] == ["chat", "metrics"]
    (warning,) = ready["warnings"]
    assert "news" in warning
    assert not any(group.get("token", "-") in warning for group in groups)


def test_poll_with_a_useless_token_is_warned_each_time(world):
    wire = by_query(world, "poll", f"identifiers=chat&token={world.token('other')}&position={world.clock()}")
    world.pushed("chat", "x")
    assert kinds(wire.frames()) == ["ready", "push", "heartbeat"]


def wrong_tokens(world):
    return {
        "malformed": "x",
        "unsigned": jwt({"exp": world.wall() + 60, "identifiers": ["chat"]}, header={"alg": "none"}),
        "signed otherwise": world.token("chat", secret="another"),
        "expired": world.token("chat", lasts=0),
        "without exp": jwt({"identifiers": ["chat"]}),
    }


@pytest.mark.parametrize("what", wrong_tokens(World()))
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_token_is_refused_and_not_repeated(world, transport, what):
    token = wrong_tokens(world)[what]
    wire = by_query(world, transport, f"identifiers=chat&token={token}")
    raw = wire.transport.value()
    assert len(token) < 10 or token.encode() not in raw
    assert refusal(wire) == refused_as(transport)
    assert transport == "websocket" or b"\r\nCache-Control: no-store, no-transform\r\n" in raw
    if transport != "events":
        groups = {"identifiers": ["news"]}, {"identifiers": ["chat"], "token": token}
        assert refusal(by_frame(world, transport, *groups)) == refused_as(transport)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_key_and_a_token_for_one_group_are_refused(world, transport):
    query = f"identifiers=chat&token={world.token('chat')}&secureKey={secure_key('chat')}"
    code, _status = refusal(by_query(world, transport, query))
    assert code == "invalid_parameter"


def test_a_refused_token_takes_no_place():
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    for _ in range(3):
        assert refusal(by_query(world, "stream", "identifiers=chat&token=x")) == ("invalid_token", 403)
    assert kinds(waits(world, "websocket").frames()) == []


def test_a_wrong_token_in_a_later_listen_ends_the_websocket(world):
    wire = waits(world, "websocket")
    wire.listen({"identifiers": ["chat"], "token": world.token("chat", lasts=-1)})
    assert refusal(wire) == ("invalid_token", 4001)
    world.push("chat", "later", secret=1)
    assert wire.frames() == []


# The end.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_new_token_after_exp_resumes_without_loss(world, transport):
    position = world.clock()
    wire = waits(world, transport, lasts=20.5)
    world.advance(20)
    if transport != "poll":
        position = world.pushed("chat", "before", secret=1)
        assert texts(wire.frames()) == ["before"]
    assert world.push("chat", "seen" if transport != "poll" else "", secret=0).json["listeners"] == 1
    if transport == "poll":
        frames = wire.frames()
        assert texts(frames) == [""]
        position = frames[-1]["position"]
        world.advance(0.1)
        wire = waits(world, transport, lasts=0.5)
    else:
        frames = wire.frames()
        assert texts(frames) == ["seen"]
        position = positions(frames)[-1]
    world.advance(0.6, step=0.1)
    (position,) = told(wire, transport) or [position]
    assert world.push("chat", "after", secret=1).json["listeners"] == 0
    is_over = transport in {"poll", "stream"}
    assert world.push("chat", "to all").json["listeners"] == (not is_over)
    assert is_over or texts(wire.frames()) == ["to all"]
    again = by_query(world, transport, f"identifiers=chat&token={world.token('chat')}&position={position}")
    assert texts(again.frames()) == ["after", "to all"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_token_that_gives_nothing_ends_nothing(transport):
    world = World(heartbeat=200)
    token = world.token("other", lasts=5)
    wire = by_query(world, transport, f"identifiers=chat&token={token}&position={world.clock()}")
    world.advance(20)
    assert transport == "poll" or kinds(wire.frames()) == ["ready", "heartbeat"]
    world.pushed("chat", "x")
    assert texts(wire.frames()) == ["x"]


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_first_needed_token_to_expire_ends_its_right_alone(transport):
    world = World(heartbeat=200)

    def listening(*tokens):
        return by_frame(
            world,
            transport,
            *[
                {"identifiers": [name], "token": world.token("chat", "news", lasts=lasts), "position": world.clock()}
                for name, lasts in tokens
            ],
        )

    first, other = listening(("chat", 30), ("news", 10)), listening(("chat", 30), ("chat", 10), ("news", 50))
    for wire in (first, other):
        assert transport == "poll" or kinds(wire.frames()) == ["ready", "heartbeat"]
    world.advance(11)
    told(first, transport, "chat")
    assert other.answered == (transport != "poll")
    assert transport == "poll" or other.frames() == []
    world.advance(20)
    told(other, transport, "news", lost=2)
    if transport not in {"poll", "stream"}:
        told(first, transport, lost=2)
        world.push("chat", "hush", secret=1)
        world.push("news", "news", secret=1)
        assert (texts(first.frames()), texts(other.frames())) == ([], ["news"])
        world.advance(20)
        told(other, transport, lost=3)


def test_gap_tells_what_was_missed_between_two_tokens(world):
    wire = waits(world, "websocket", "chat,news,quiet", lasts=10)
    world.pushed("chat", "before", secret=1)
    assert texts(wire.frames()) == ["before"]
    world.advance(11)
    told(wire, "websocket")
    for name in ("chat", "news"):
        world.push(name, "missed", secret=1)
    for name in ("chat", "quiet"):
        world.pushed(name, "public")
    assert texts(wire.frames()) == ["public", "public"]
    for names, missed in (("chat,quiet", ["chat"]), ("chat,quiet", []), ("chat,news,quiet", [])):
        wire.listen({"identifiers": names.split(","), "token": world.token("chat", "news", "quiet")})
        frames = wire.frames()
        assert frames[0]["secret"] == names.split(",")
        assert gaps(frames) == ([missed] if missed else [])
        assert texts(frames) == []


def test_no_gap_is_told_without_a_right_to_what_was_missed(world):
    wire = waits(world, "websocket", lasts=10)
    world.advance(11)
    told(wire, "websocket")
    world.push("chat", "missed", secret=1)
    wire.listen({"identifiers": ["chat"]})
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    wire.listen({"identifiers": ["chat"], "token": world.token("chat")})
    assert kinds(wire.frames()) == ["ready", "gap", "heartbeat"]


def test_expired_token_is_no_obstacle_to_a_reload(world):
    wire = waits(world, "websocket", lasts=10)
    world.advance(11)
    told(wire, "websocket")
    change(world, "another", API_SECRET)
    change(world, "another")
    assert wire.frames() == []


def test_later_listen_with_a_new_token_replaces_the_expiry(world):
    wire = waits(world, "websocket", lasts=10)
    wire.listen({"identifiers": ["chat"], "token": world.token("chat", lasts=20)})
    assert wire.frames()[0]["secret"] == ["chat"]
    world.advance(15)
    world.pushed("chat", "still", secret=1)
    assert texts(wire.frames()) == ["still"]
    world.advance(6)
    told(wire, "websocket")


@pytest.mark.parametrize("key", [None, "secureKey", "other names"])
def test_a_later_listen_that_needs_no_token_never_ends(world, key):
    wire = waits(world, "websocket", lasts=10)
    group = {"identifiers": ["chat"], **({"secureKey": secure_key("chat")} if key == "secureKey" else {})}
    if key == "other names":
        group = {"identifiers": ["news"], "token": world.token("chat", lasts=5)}
    wire.listen(group)
    world.advance(30)
    assert "error" not in kinds(wire.frames())
    world.pushed(group["identifiers"][0], "x", secret=int(key == "secureKey"))
    assert texts(wire.frames()) == ["x"]


def test_a_sooner_expiry_by_a_later_listen_holds(world):
    wire = waits(world, "websocket", lasts=100)
    wire.listen({"identifiers": ["chat"], "token": world.token("chat", lasts=5)})
    wire.frames()
    world.advance(6)
    told(wire, "websocket")


@pytest.mark.parametrize("transport", OPEN)
def test_stalled_listener_gets_no_secret_push_after_exp(world, transport):
    wire = waits(world, transport, lasts=10)
    position = world.pushed("chat", "read", secret=1)
    wire.frames()
    wire.stop_reading()
    after = world.pushed("chat", "waiting", secret=1)
    world.advance(11)
    wire.read_again()
    world.advance(1)
    assert told(wire, transport) == [position]
    again = by_query(world, transport, f"identifiers=chat&token={world.token('chat')}&position={position}")
    frames = again.frames()
    assert positions(frames) == [after]
    assert gaps(frames) == []


def test_one_that_never_reads_again_is_cut_off(world):
    wire = waits(world, "websocket", lasts=10)
    wire.stop_reading()
    world.advance(95)
    assert wire.transport.aborted


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_wall_clock_decides_and_not_the_engines(transport):
    world = World(heartbeat=200)
    world.skew = 86_400_000_000
    wire = waits(world, transport, lasts=5000)
    world.wall_skew = 6000
    world.advance(2)
    told(wire, transport)


def test_a_listener_that_parts_is_forgotten(world):
    for transport in TRANSPORTS:
        waits(world, transport).lose()
    assert len(world.server.token_expiry) == 0


@pytest.mark.parametrize("transport", ["stream", "events"])
def test_a_stream_may_end_in_order_before_its_token_does(world, transport):
    wire = waits(world, transport, lasts=700)
    world.advance(610)
    assert "error" not in kinds(wire.frames())
    assert wire.transport.disconnecting
    wire.lose()
    world.advance(200)


def test_a_servers_own_clock_decides_and_its_log_has_no_token(server):
    exp = time.time() + 1.5
    token = jwt({"exp": exp, "identifiers": ["chat"]})
    with server.websocket() as wire, server.stream(f"identifiers=chat&token={token}") as stream:
        wire.listen({"identifiers": ["chat"], "token": token})
        assert wire.joined()["secret"] == stream.joined()["secret"] == ["chat"]
        server.pushed("chat", "hush", secret=1)
        assert wire.texts(1) == stream.texts(1) == ["hush"]
        assert wire.next("ready")["secret"] == stream.next("ready")["secret"] == []
        assert exp <= time.time() < exp + 1
        server.pushed("chat", "hush, after", secret=1)
        server.pushed("chat", "to all")
        assert wire.texts(1) == ["to all"]
        stream.next("heartbeat")
        with pytest.raises(EOFError):
            stream.next("push")  # the response is over, so that a page can come back with a new token
    assert server.request("GET", f"/{API_KEY}/poll?identifiers=chat&token={token}").status == 403
    log = server.log.read_text()
    assert not any(part in log for part in token.split("."))


# Pollers that come again on one connection.


def same_answer(wire, other):
    """The answer that both got, or None if neither got one."""
    assert wire.answered == other.answered
    if not wire.answered:
        return None
    one, two = wire.answer(), other.answer()
    assert (one.status, one.body) == (two.status, two.body)
    return one


def poll(position, token):
    return request_bytes(
        "GET", f"/{API_KEY}/poll?identifiers=chat&listener=0123456789&token={token}&position={position}"
    )


class Company:
    """A poller that is always there, with a token that lasts, so that the view of the others is never forgotten."""

    def __init__(self, world):
        self.world = world
        self.position = world.clock()
        self.come_again()

    def come_again(self):
        self.wire = self.world.connect("10.9.9.9")
        self.wire.receive(poll(self.position, self.world.token("chat", lasts=10**6)))

    def push(self, text, secret):
        """Push, and read its own answer."""
        answer = self.world.push("chat", text, secret)
        self.position = self.wire.answer().frames[-1]["position"]
        self.come_again()
        return answer


def test_poll_that_comes_again_is_refused_after_exp():
    world = World(heartbeat=200)
    token = world.token("chat", lasts=30)
    wire, company = world.connect(), Company(world)
    wire.receive(poll(world.clock(), token))
    for text in ("one", "two", "three"):
        world.advance(5)
        assert not wire.answered
        company.push(text, 1)
        frames = wire.answer().frames
        assert texts(frames) == [text]
        position = frames[-1]["position"]
        wire.receive(poll(position, token))
    world.advance(16)
    answer = wire.answer()
    assert (answer.status, answer.json["code"]) == (403, "invalid_token")
    wire.receive(poll(position, token))  # the same request as before
    assert wire.answer().json["code"] == "invalid_token"
    company.push("four", 1)
    wire.receive(poll(position, token))
    assert wire.answer().json["code"] == "invalid_token"
    wire.receive(poll(position, world.token("chat")))
    assert texts(wire.answer().frames) == ["four"]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("push"), st.sampled_from([0, 1])),
            st.tuples(st.just("wait"), st.sampled_from([0.3, 4, 9, 20])),
            st.tuples(st.just("renew"), st.sampled_from([5, 12, 60])),
            st.tuples(st.just("again"), st.none()),
        ),
        max_size=14,
    )
)
def test_polls_of_one_and_of_many_connections_are_equal(steps):
    same, apart = World(heartbeat=1000), World(heartbeat=1000)
    wire, one, position, token = same.connect(), None, same.clock(), same.token("chat", lasts=12)
    companies = [Company(world) for world in (same, apart)]

    for what, how in [("again", None), ("push", 1), ("again", None), ("push", 1), ("again", None), *steps]:
        if what == "push":
            assert len({company.push("x", how).body for company in companies}) == 1
        elif what == "wait":
            same.advance(how)
            apart.advance(how)
        elif what == "renew":
            token = same.token("chat", lasts=how)
        elif one is None:
            if wire.transport.disconnecting:
                wire = same.connect()
            one = apart.connect()
            for each in (wire, one):
                each.receive(poll(position, token))
        answer = None if one is None else same_answer(wire, one)
        if answer is not None:
            one = None
            if answer.status == 200:
                position = answer.frames[-1]["position"]


# Accounts change.


def change(world, *secrets):
    world.server.change_accounts(Settings((Account(API_KEY, secrets),)))
    world.settle()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_revoked_secret_ends_the_right_by_a_new_ready(transport):
    world = World(Account(API_KEY, ("new", "old")), heartbeat=200)
    wire, other = waits(world, transport, secret="old", lasts=10), waits(world, transport, secret="new", lasts=10)
    change(world, "new")
    frames = wire.frames()
    assert (frames[0]["type"], frames[0]["secret"]) == ("ready", [])
    assert len(frames[0]["warnings"]) == 1
    if transport != "poll":
        assert other.frames() == []
        for text, secret in (("hush", "1"), ("public", "0")):
            signed = form({"text": text, "secret": secret, "secure": secure("chat", text, secret="new")})
            assert post(world, f"/{API_KEY}/push/chat", signed).status == 200
        assert texts(wire.frames()) == ["public"]
        assert texts(other.frames()) == ["hush", "public"]
        world.advance(11)
        assert wire.frames() == []  # no right ends
    else:
        world.advance(11)
    told(other, transport)


def test_restored_secret_gives_its_tokens_their_right_again():
    world = World(Account(API_KEY, ("new", "old")), heartbeat=200)
    wire = waits(world, "websocket", secret="old", lasts=30)
    change(world, "new")
    assert wire.frames()[0]["secret"] == []
    change(world, "new", "old")
    assert wire.frames()[0]["secret"] == ["chat"]
    world.advance(31)
    told(wire, "websocket")


def test_a_change_that_does_not_touch_the_secrets_is_not_noticed():
    world = World(heartbeat=200)
    wire = waits(world, "websocket", lasts=30)
    change(world, API_SECRET, "another")
    assert wire.frames() == []
    world.advance(31)
    told(wire, "websocket")
