"""Section 5: 60 `listen` frames a minute on a connection. Those above that are answered in their turn, one a second."""

import pytest

from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.membership import joining
from cometify.runtime.epoll_loop import LoopHooks
from cometify.transports.listen_pace import LISTENS, MOST_NAMED, MOST_WAITING
from cometify.websocket.frame_reader import PONG
from tests.contract.support import API_KEY, API_SECRET, gaps, kinds, positions, texts
from tests.membership.turns import Turns
from tests.memory import World
from tests.wire import client_frame, secure_key


def busy(world, *groups):
    """A WebSocket that has used up its minute."""
    wire = world.websocket()
    for _ in range(LISTENS):
        wire.listen(*(groups or ({"identifiers": "chat"},)))
    frames = wire.frames()
    assert kinds(frames).count("ready") == LISTENS
    return wire


def ready(frames):
    return [frame for frame in frames if frame["type"] == "ready"]


def test_60_listen_frames_a_minute_then_one_a_second(world):
    wire = busy(world)
    for _ in range(3):
        wire.listen({"identifiers": "chat"})
        assert wire.frames() == []
        world.advance(0.9, step=0.1)
        assert "ready" not in kinds(wire.frames())
        world.advance(0.11)
        assert kinds(wire.frames()).count("ready") == 1
    world.advance(30)
    assert "error" not in kinds(wire.frames())


def test_frame_after_a_quiet_second_is_answered_at_once(world):
    wire = busy(world)
    world.advance(1)
    wire.listen({"identifiers": "news"})
    assert kinds(wire.frames()) == ["ready", "heartbeat"]


def test_connection_stays_however_many_frames_come(world):
    wire = busy(world)
    frame = wire.listen_frame({"identifiers": "chat"})
    for _ in range(5):
        wire.receive(frame * 300)
        world.advance(1)
    frames = wire.frames()
    assert "error" not in kinds(frames)
    assert len(ready(frames)) == 1500
    assert wire.transport.connected


def test_newest_waiting_frame_counts(world):
    wire = busy(world)
    wire.listen({"identifiers": ["chat", "news"]})
    wire.listen({"identifiers": ["sports"]})
    world.advance(1)
    wire.frames()
    for name in ("chat", "news", "sports"):
        world.pushed(name, name)
    assert texts(wire.frames()) == ["sports"]


def test_each_frame_gets_one_ready_with_a_position_for_each_group(world):
    wire = busy(world)
    began = world.clock()
    wire.listen({"identifiers": "chat"}, {"identifiers": "news"}, {"identifiers": "sports"})
    wire.listen({"identifiers": "news"})
    wire.listen({"identifiers": "news"}, {"identifiers": "weather"})
    world.advance(1)
    answers = ready(wire.frames())
    assert [len(answer["positions"]) for answer in answers] == [3, 1, 2]
    assert all(began <= position <= world.clock() for answer in answers for position in answer["positions"])
    wire.listen({"identifiers": "chat"})
    world.advance(1)
    assert len(ready(wire.frames())) == 1


def test_ready_of_a_replaced_frame_tells_the_first_cursor(world):
    wire = busy(world)
    at = world.pushed("news", "old")
    wire.listen({"identifiers": "chat"}, {"identifiers": "news", "position": at - 1})
    wire.listen({"identifiers": "news", "position": at - 1})
    world.advance(1)
    frames = wire.frames()
    first, second = ready(frames)
    assert first["positions"][1] == second["positions"][0] == at - 1
    assert positions(frames) == [at]


def test_ready_of_a_replaced_frame_tells_the_rights_in_force(world):
    wire = busy(world)
    wire.listen({"identifiers": ["chat"], "secureKey": "0" * 32})
    wire.listen({"identifiers": ["news"], "secureKey": secure_key("news")})
    world.advance(1)
    first, second = ready(wire.frames())
    assert first["secret"] == second["secret"] == ["news"]
    assert first["warnings"] == second["warnings"] == []


def test_pushes_come_while_frames_wait(world):
    wire = busy(world)
    wire.listen({"identifiers": "news"})
    world.pushed("chat", "meanwhile")
    world.pushed("news", "not yet")
    assert texts(wire.frames()) == ["meanwhile"]
    world.advance(1)
    world.pushed("chat", "too late")
    world.pushed("news", "now")
    assert texts(wire.frames()) == ["now"]


def test_kept_identifier_loses_nothing_in_a_turn(world):
    wire = busy(world)
    sent = []
    for number in range(4):
        wire.listen({"identifiers": "chat"}, {"identifiers": f"other{number}"})
        sent.append(str(number))
        world.pushed("chat", str(number))
        world.advance(0.4)
    assert texts(wire.frames()) == sent


def test_identifier_left_in_a_replaced_frame_gets_its_replay(world):
    wire = busy(world, {"identifiers": "chat"}, {"identifiers": "news"})
    world.pushed("news", "old", push_id=60)
    world.advance(0.1)
    wire.frames()
    wire.listen({"identifiers": "chat"})
    wire.listen({"identifiers": "chat"}, {"identifiers": {"news": 59}})
    world.advance(1)
    assert texts(wire.frames()) == ["old"]


def test_identifier_kept_in_all_frames_is_not_replayed(world):
    wire = busy(world, {"identifiers": "chat"}, {"identifiers": "news"})
    world.pushed("news", "old", push_id=60)
    wire.frames()
    wire.listen({"identifiers": "news"})
    wire.listen({"identifiers": "chat"}, {"identifiers": {"news": 59}})
    world.advance(1)
    assert texts(wire.frames()) == []


def test_group_that_joins_anew_is_told_its_gap_again(engine):
    world = World(Account(API_KEY, (API_SECRET,), buffer_pushes=2))
    old = {"identifiers": "news", "position": world.clock()}
    for number in range(4):
        world.pushed("news", str(number))
    wire = busy(world)
    world.advance(1)
    wire.listen({"identifiers": "chat"}, old)
    wire.frames()
    wire.stop_reading()
    wire.listen({"identifiers": "chat"})
    wire.listen({"identifiers": "chat"}, old)
    world.advance(1)
    wire.read_again()
    frames = wire.frames()
    assert gaps(frames) == [["news"]]
    assert texts(frames) == ["2", "3"]


def test_wrong_frame_ends_the_connection_without_a_turn(world):
    wire = busy(world)
    wire.listen({"identifiers": "chat"})
    wire.listen({"identifiers": "1chat"})
    error, close = wire.frames()
    assert (error["code"], close["code"]) == ("invalid_identifier", 4000)
    world.advance(2)
    assert wire.frames() == []


def test_frame_refused_in_its_turn_ends_the_connection(world):
    wire = busy(world)
    wire.listen({"identifiers": "chat", "token": world.token("chat", lasts=0.5)})
    world.advance(1)
    error, close = [frame for frame in wire.frames() if frame["type"] in ("error", "(close)")]
    assert (error["code"], close["code"]) == ("invalid_token", 4001)


@pytest.mark.parametrize("ends", ["lose", "close"])
def test_end_of_a_connection_ends_its_turns(world, ends):
    wire = busy(world)
    wire.receive(wire.listen_frame({"identifiers": "news"}) * (MOST_WAITING + 1))
    if ends == "lose":
        wire.lose()
    else:
        wire.receive(client_frame(b"\x03\xe8", opcode=8))
        world.advance(1)  # it is read no later than then
        wire.receive(client_frame(b"\x03\xe8", opcode=8))
    world.advance(15)
    assert len(world.server.membership) == 0
    assert not wire.transport.connected or wire.transport.disconnecting


def test_flood_is_not_read_until_the_next_turn(world):
    wire = busy(world)
    frame = wire.listen_frame({"identifiers": "news"})
    wire.receive(frame * (MOST_WAITING - 1))
    assert wire.transport.producerState == "producing"
    wire.receive(frame)
    assert wire.transport.producerState == "paused"
    world.pushed("chat", "meanwhile")
    assert texts(wire.frames()) == ["meanwhile"]
    world.advance(1)
    assert wire.transport.producerState == "producing"
    wire.receive(client_frame(b"hello", opcode=9))
    assert {"type": f"({PONG})", "data": b"hello"} in wire.frames()


def test_large_frames_wait_in_smaller_number(world):
    wire = busy(world)
    frame = wire.listen_frame(*[{"identifiers": {"news": number}} for number in range(1, 501)])
    for _ in range(MOST_NAMED // 500 - 1):
        wire.receive(frame)
        assert wire.transport.producerState == "producing"
    wire.receive(frame)
    assert wire.transport.producerState == "paused"
    world.advance(1)
    assert wire.transport.producerState == "producing"
    answers = ready(wire.frames())
    assert [len(answer["positions"]) for answer in answers] == [500] * (MOST_NAMED // 500)


def test_replaced_frames_look_once_at_the_newest_position(world, monkeypatch):
    looked = []

    class Positions(tuple):
        __slots__ = ()

        def __iter__(self):
            looked.append(len(self))
            return super().__iter__()

    planned = joining.make_join_plan

    def plan(*arguments):
        made = planned(*arguments)
        made.positions = Positions(made.positions)
        return made

    monkeypatch.setattr(joining, "make_join_plan", plan)
    wire = busy(world)
    groups = [{"identifiers": f"news{number % 50}"} for number in range(300)]
    looked.clear()
    for _ in range(3):
        wire.listen(*groups)
    world.advance(1)
    assert len(ready(wire.frames())) == 3
    assert len(looked) < 10


@pytest.mark.memory("with Redis the answer of a turn comes later")
def test_turns_of_many_connections_are_taken_one_by_one():
    turns = Turns()
    world = World(loop_hooks=LoopHooks(turns.call_soon))
    for wire in [world.websocket() for _ in range(4)]:
        for _ in range(LISTENS):
            wire.listen({"identifiers": "chat"})
        wire.listen({"identifiers": "news"})
    turns.settle()
    world.reactor.advance(1)
    answered = []
    while turns.due:
        answered.append(sum(view.members for view in world.server.registry.views((API_KEY, "news"))))
        turns.turn()
    assert answered[:4] == [1, 2, 3, 4]
    World.end_all()


def test_draining_is_told_while_frames_wait(world):
    wire = busy(world)
    wire.listen({"identifiers": "news"})
    world.drain()
    assert kinds(wire.frames()) == ["reconnect", "(close)"]
    world.advance(2)
    assert wire.frames() == []


def test_removed_account_is_told_while_frames_wait(world):
    wire = busy(world)
    wire.listen({"identifiers": "news"})
    world.server.change_accounts(Settings(()))
    world.settle()
    assert [frame.get("code") for frame in wire.frames()] == ["not_authorized", 4001]
