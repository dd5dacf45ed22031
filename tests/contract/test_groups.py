"""Section 3: several groups, and later `listen` frames on one WebSocket."""

import json
import tracemalloc

import pytest

from cometify.core.account import Account
from tests.contract.support import SECOND, by_frame, gaps, kinds, positions, refusal, texts
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, client_frame, secure_key

CHAT = {"identifiers": ["chat"]}
METRICS = {"identifiers": ["metrics"]}


def joined(world, *groups, **more):
    wire = world.websocket()
    wire.listen(*groups, **more)
    wire.frames()
    return wire


def take_one_write(wire):
    """Have the peer read one write, as a slow peer does. Returns a function that has it read everything."""
    wire.read_one_write()
    return wire.read_again


# One identifier in several groups.


def test_an_identifier_in_several_groups_is_sent_once(world):
    wire = joined(world, CHAT, {"identifiers": ["metrics", "Chat"]}, {"identifiers": {"chat": 0}})
    world.pushed("chat", "x")
    assert texts(wire.frames()) == ["x"]


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_identifier_in_several_groups_counts_once(world, transport):
    many = [f"a{number}" for number in range(100)]
    groups = [{"identifiers": many}, {"identifiers": many[:50]}, {"identifiers": ["A7"]}]
    ready = by_frame(world, transport, *groups).frames()[0]
    assert (ready["type"], len(ready["positions"])) == ("ready", 3)
    assert "refused" not in ready


# A group too many.

SIXTY = {letter: {"identifiers": [f"{letter}{number}" for number in range(60)]} for letter in "abc"}


@pytest.mark.parametrize("transport", ["websocket", "stream", "poll"])
def test_group_too_many_is_refused_alone(world, transport):
    head = world.pushed("b0", "before")
    wire = by_frame(world, transport, SIXTY["a"], {**SIXTY["b"], "position": head - 1}, CHAT, listener="12345678")
    ready, *others = wire.frames()
    assert (ready["type"], ready["refused"]) == ("ready", [1])
    assert ready["positions"] == [ready["positions"][0]] * 3
    assert ready["positions"][0] >= head
    (warning,) = ready["warnings"]
    assert warning.startswith("Not joined: b0,b1,")
    assert kinds(others) == ["heartbeat"]
    if transport == "poll":
        return
    world.pushed("b1", "for the refused group")
    world.pushed("a1", "for the first")
    world.pushed("chat", "for the last")
    assert texts(wire.frames()) == ["for the first", "for the last"]


def test_poll_with_a_refused_group_waits_for_its_push(world):
    groups = [SIXTY["a"], SIXTY["b"]]
    positions = by_frame(world, "poll", *groups, listener="12345678").frames()[0]["positions"]
    resuming = [{**group, "position": at} for group, at in zip(groups, positions, strict=True)]
    wire = by_frame(world, "poll", *resuming, listener="12345678")
    world.pushed("b1", "for the refused group")
    assert not wire.answered
    world.pushed("a1", "for the first")
    ready, push, *_ = wire.frames()
    assert (ready["type"], ready["refused"], push["text"]) == ("ready", [1], "for the first")


def test_refused_group_joins_when_another_has_left(world):
    wire = joined(world, SIXTY["a"], SIXTY["b"])
    head = world.pushed("b1", "while it was refused")
    wire.listen({**SIXTY["b"], "position": head - 1}, CHAT)
    ready, *others = wire.frames()
    assert "refused" not in ready
    assert texts(others) == ["while it was refused"]
    world.pushed("b2", "live")
    assert texts(wire.frames()) == ["live"]


def test_joined_group_ends_if_one_before_it_takes_its_room(world):
    wire = joined(world, SIXTY["a"])
    wire.listen(SIXTY["b"], SIXTY["a"])
    assert wire.frames()[0]["refused"] == [1]
    world.pushed("a1", "for nobody")
    world.pushed("b1", "x")
    assert texts(wire.frames()) == ["x"]


def test_thousand_names_in_all_groups_are_joined_and_no_more(world):
    many = {"identifiers": [f"a{number}" for number in range(100)]}
    ready = by_frame(world, "stream", *[many] * 10, {"identifiers": ["a1"]}).frames()[0]
    assert (ready["refused"], len(ready["positions"])) == ([10], 11)


def test_group_stays_refused_when_a_token_expires(world):
    wire = joined(world, {**SIXTY["a"], "token": world.token("a*", lasts=20)}, SIXTY["b"])
    world.advance(21)
    ready = next(frame for frame in wire.frames() if frame["type"] == "ready")
    assert (ready["refused"], ready["secret"]) == ([1], [])
    assert ready["warnings"][0].startswith("Not joined: b0,b1,")
    world.pushed("a1", "x")
    assert texts(wire.frames()) == ["x"]


def test_push_is_sent_if_one_group_lets_it_through(world):
    wire = joined(world, {"identifiers": {"chat": 10}}, {"identifiers": {"chat": 5}})
    for push_id in (5, 6, 11, None):
        world.pushed("chat", str(push_id), push_id=push_id)
    assert texts(wire.frames()) == ["6", "11", "None"]


def test_secret_push_is_sent_if_one_group_with_the_key_wants_it(world):
    keyed = {"identifiers": {"chat": 10}, "secureKey": secure_key("chat")}
    wire = joined(world, keyed, {"identifiers": ["chat"]})
    for push_id in (5, 11, None):
        world.pushed("chat", f"secret {push_id}", secret=1, push_id=push_id)
        world.pushed("chat", f"public {push_id}", push_id=push_id)
    assert texts(wire.frames()) == ["public 5", "secret 11", "public 11", "secret None", "public None"]


def test_replays_of_several_groups_are_one_in_order(world):
    for number in range(6):
        world.pushed("chat", str(number), push_id=number)
    at = world.clock() + 1
    wire = world.websocket()
    wire.listen({"identifiers": ["chat"], "position": at}, {"identifiers": {"chat": 3}})
    frames = wire.frames()
    assert texts(frames) == ["2", "3", "4", "5"]
    assert kinds(frames) == ["ready", *["push"] * 4, "heartbeat"]


# A later listen.


def test_a_later_listen_replaces_the_whole_set(world):
    wire = joined(world, CHAT)
    wire.listen(METRICS)
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.pushed("chat", "gone")
    world.pushed("metrics", "new")
    assert texts(wire.frames()) == ["new"]


def test_identifier_that_stays_goes_on_in_a_later_listen(world):
    wire = joined(world, CHAT)
    world.pushed("chat", "one")
    wire.listen(CHAT, METRICS)
    world.pushed("chat", "two")
    world.pushed("metrics", "three")
    assert texts(wire.frames()) == ["one", "two", "three"]


def test_later_listen_ignores_position_of_joined_identifier(world):
    world.pushed("chat", "old", push_id=1)
    wire = joined(world, CHAT)
    wire.listen({"identifiers": {"chat": 0}})
    assert texts(wire.frames()) == []
    wire.listen({"identifiers": ["chat"], "position": 5})
    wire.listen({"identifiers": ["chat"], "position": 2**53 - 1})
    frames = wire.frames()
    assert (texts(frames), gaps(frames)) == ([], [])
    wire.listen({"identifiers": {"chat": 100}})
    world.pushed("chat", "new", push_id=2)
    assert texts(wire.frames()) == ["new"]


def test_later_listen_does_not_change_an_internal_id(world):
    wire = joined(world, {"identifiers": {"chat": 5}})
    wire.listen({"identifiers": {"chat": 0}}, METRICS)
    wire.frames()
    world.pushed("chat", "five", push_id=5)
    world.pushed("chat", "six", push_id=6)
    assert texts(wire.frames()) == ["six"]


def test_new_identifier_of_a_later_listen_is_replayed(world):
    world.pushed("metrics", "old", push_id=5)
    world.pushed("tweets", "older", push_id=5)
    at = world.pushed("comments", "seen")
    world.pushed("comments", "unseen")
    wire = joined(world, CHAT)
    world.pushed("chat", "live")
    wire.listen(
        CHAT,
        {"identifiers": {"metrics": 4}},
        {"identifiers": {"tweets": 0}},
        {"identifiers": "comments", "position": at},
    )
    frames = wire.frames()
    assert kinds(frames) == ["push", "ready", "push", "push", "push", "heartbeat"]
    assert texts(frames) == ["live", "old", "older", "unseen"]


def test_identifier_left_out_ends_and_can_join_again(world):
    wire = joined(world, CHAT, METRICS)
    wire.listen(METRICS)
    world.pushed("chat", "missed")
    wire.listen(METRICS, CHAT)
    world.pushed("chat", "heard")
    assert texts(wire.frames()) == ["heard"]
    wire.listen(METRICS)
    wire.listen(METRICS, {"identifiers": {"chat": 0}})
    assert texts(wire.frames()) == ["missed", "heard"]


def test_each_listen_is_answered_by_one_ready_in_order(world):
    wire = world.websocket()
    frames = [
        b'{"type":"listen","groups":[{"identifiers":["a"],"secureKey":"%b"}]}' % secure_key("a").encode(),
        b'{"type":"listen","groups":[{"identifiers":["b"],"secureKey":"%b"}]}' % secure_key("b").encode(),
        b'{"type":"listen","groups":[{"identifiers":["c"],"secureKey":"%b"}]}' % secure_key("c").encode(),
    ]
    wire.receive(b"".join(map(client_frame, frames)))
    answers = [frame["secret"] for frame in wire.frames() if frame["type"] == "ready"]
    assert answers == [["a"], ["b"], ["c"]]


def test_the_key_of_a_later_listen_is_looked_at(world):
    wire = joined(world, CHAT)
    wire.listen({"identifiers": ["chat"], "secureKey": secure_key("chat")})
    assert wire.frames()[0]["secret"] == ["chat"]
    world.pushed("chat", "one", secret=1)
    assert texts(wire.frames()) == ["one"]
    wire.listen(CHAT)
    assert wire.frames()[0]["secret"] == []
    world.pushed("chat", "two", secret=1)
    assert texts(wire.frames()) == []
    wire.listen({"identifiers": ["chat"], "secureKey": "wrong"})
    ready = wire.frames()[0]
    assert (ready["secret"], len(ready["warnings"])) == ([], 1)


@pytest.mark.parametrize("other", [False, True])
def test_a_key_that_comes_later_opens_nothing_from_before(world, other):
    """The listener goes on from the position of the server, also when something else was pushed meanwhile."""
    wire = joined(world, CHAT)
    world.pushed("chat", "a secret", secret=1)
    if other:
        world.pushed("chat", "public")
    world.advance(25)
    assert kinds(wire.frames())[-1] == "heartbeat"
    wire.listen({"identifiers": ["chat"], "secureKey": secure_key("chat")})
    assert texts(wire.frames()) == []


@pytest.mark.memory("with Redis a listen is answered before the next is looked at")
def test_later_key_is_told_the_gap_of_lost_secret_pushes():
    """The second listen comes before the replay of the first, in which only public pushes were wanted from there on."""
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=1))
    first = world.pushed("chat", "public")
    for text in ("lost", "kept"):
        world.pushed("chat", text, secret=1)
    keyed = {"identifiers": ["chat"], "secureKey": secure_key("chat")}
    public = {"identifiers": ["chat"], "position": first}
    listens = [json.dumps({"type": "listen", "groups": groups}).encode() for groups in ([keyed, public], [keyed])]
    wire = world.websocket()
    wire.receive(b"".join(client_frame(listen) for listen in listens))
    frames = wire.frames()
    assert kinds(frames) == ["ready", "ready", "gap", "push", "heartbeat"]
    assert (gaps(frames), texts(frames)) == ([["chat"]], ["kept"])
    wire.listen(keyed)
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_gap_told_without_key_does_not_cover_secret_pushes():
    """The second listen comes within the replay of the first, which is still before the lost secret push."""
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=40))
    start = world.clock()
    for number in range(40):
        world.pushed("metrics", f"{number}-" + "x" * 5000)
    world.pushed("chat", "public")
    world.pushed("chat", "lost", secret=1)
    for secret in (0, 1):
        for _ in range(40):
            world.pushed("chat", "kept", secret=secret)
    both = {"identifiers": ["chat", "metrics"], "position": start - 1}
    wire = world.websocket()
    resume = take_one_write(wire)
    wire.listen(both)
    frames = wire.frames()
    assert (kinds(frames)[:2], gaps(frames)) == (["ready", "gap"], [["chat"]])
    begun = len(texts(frames))
    assert 0 < begun < 40
    wire.listen({**both, "secureKey": secure_key("chat", "metrics")})
    resume()
    frames = wire.frames()
    assert (kinds(frames)[:2], gaps(frames)) == (["ready", "gap"], [["chat"]])
    assert len(texts(frames)) == 40 - begun + 80


def test_a_heartbeat_holds_everything_up_to_its_position_is_sent(world):
    wire = joined(world, CHAT)
    at = world.pushed("chat", "a secret", secret=1)
    world.advance(25)
    beat = wire.frames()[-1]["position"]
    assert beat > at
    wire.listen({"identifiers": ["chat"], "secureKey": secure_key("chat")})
    world.pushed("chat", "later")
    assert min(positions(wire.frames())) > beat


def test_a_later_ready_does_not_set_the_cursor_back(world):
    wire = joined(world, CHAT)
    world.advance(3600, step=25)
    beat = wire.frames()[-1]["position"]
    wire.listen(CHAT, METRICS)
    ready = wire.frames()[0]
    assert ready["positions"][0] >= beat
    assert ready["positions"][1] == world.clock()


def test_heartbeats_count_again_from_a_later_listen(world):
    wire = joined(world, CHAT)
    world.advance(10)
    wire.listen(CHAT, METRICS)
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    world.advance(24)
    assert kinds(wire.frames()) == []
    world.advance(1)
    assert kinds(wire.frames()) == ["heartbeat"]


def test_the_same_listen_again_and_again_costs_no_more(world):
    """Two groups hold one identifier, and the set does not change."""
    groups = [{"identifiers": {"chat": 5}}, {"identifiers": {"chat": 6}}]
    wire = joined(world, *groups)
    wire.listen(*groups)
    tracemalloc.start()
    try:
        before, _peak = tracemalloc.get_traced_memory()
        for _ in range(12):
            wire.listen(*groups)
            wire.frames()
        after, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000
    world.pushed("chat", "x", push_id=6)
    assert texts(wire.frames()) == ["x"]


def test_a_listener_id_in_a_later_listen_changes_nothing(world):
    wire = joined(world, CHAT, listener="one-listener")
    wire.listen(CHAT, listener="another-one")
    assert kinds(wire.frames()) == ["ready", "heartbeat"]
    other = world.websocket("identifiers=chat&listener=one-listener")
    assert kinds(other.frames()) == ["ready", "heartbeat"]
    assert refusal(wire) == ("replaced", 4000)


def test_a_wrong_later_listen_ends_the_connection(world):
    wire = joined(world, CHAT)
    wire.listen({"identifiers": ["1"]})
    assert refusal(wire) == ("invalid_identifier", 4000)
    world.pushed("chat", "x")
    assert wire.frames() == []


def test_replay_interrupted_by_a_listen_brings_pushes_once(world):
    for number in range(40):
        world.pushed("chat", f"{number}-" + "x" * 5000)
    chat, metrics = {"identifiers": {"chat": 0}}, {"identifiers": {"metrics": 0}}
    wire = world.websocket()
    resume = take_one_write(wire)
    wire.listen(chat)
    frames = wire.frames()
    assert 0 < len(texts(frames)) < 40
    wire.listen(chat, metrics)
    resume()
    frames += wire.frames()
    assert [text.split("-")[0] for text in texts(frames)] == [str(number) for number in range(40)]
    assert kinds(frames).count("ready") == 2
    assert kinds(frames)[-1] == "heartbeat"


def test_a_group_that_joins_later_replays_on_its_own_first(world):
    world.pushed("metrics", "old")
    wire = joined(world, CHAT)
    world.advance(1)
    world.pushed("chat", "one")
    wire.listen(CHAT, {"identifiers": {"metrics": 0}})
    world.pushed("chat", "two")
    assert texts(wire.frames()) == ["one", "old", "two"]


def test_later_listen_resumes_only_new_identifiers(world):
    start = world.clock()
    world.advance(1)
    world.pushed("chat", "c1")
    world.pushed("metrics", "m1")
    wire = joined(world, CHAT)
    wire.listen({"identifiers": ["chat", "metrics"], "position": start})
    frames = wire.frames()
    assert texts(frames) == ["m1"]
    assert frames[0]["positions"] == [start]
    assert start + SECOND == positions(frames)[0] - 1
