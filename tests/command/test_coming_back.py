"""The listener of `cometify listen`, with a clock that the test moves, and a server that says what the test wants."""

import json

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.testing import MemoryReactorClock
from twisted.test.iosim import ConnectionCompleter

from cometify.command.group import Group
from cometify.command.listening import Listening
from cometify.command.server_url import ServerURL
from cometify.core.identifier import names_from_query

READY = {"type": "ready", "heartbeat": 25, "secret": [], "warnings": [], "positions": [100]}


class Peer(WebSocketServerProtocol):
    """The server's end. `heard`: the messages of the client."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def onMessage(self, payload, isBinary):
        self.heard.append(json.loads(payload))

    def say(self, frame):
        self.sendMessage(json.dumps(frame).encode())


class World:
    """A listener and its server. It is its own receiver. `chance`: the listener's random number."""

    def __init__(self, channels="chat", chance=1.0):
        self.reactor = MemoryReactorClock()
        self.frames, self.notices, self.cursors, self.refusals = [], [], [], []
        server = WebSocketServerFactory("ws://127.0.0.1:80", reactor=self.reactor)
        server.protocol = Peer
        self.reactor.listenTCP(80, server)
        self.listening = Listening(
            ServerURL.read("http://k@127.0.0.1"),
            Group(names_from_query(channels)),
            self,
            self.reactor,
            lambda: chance,
        )
        self.listening.refused.addCallback(self.refusals.append)
        self.listening.start()
        self.peer = self.pump = None

    def received(self, text, frame):
        assert json.loads(text) == frame
        self.frames.append(frame.get("text", "gap"))

    def told(self, notice):
        self.notices.append(notice)

    def moved(self, cursor):
        self.cursors.append(cursor)

    @property
    def is_connecting(self):
        return bool(self.reactor.tcpClients)

    def join(self):
        """Connect. Returns the group that the listener asks for."""
        self.pump = ConnectionCompleter(self.reactor).succeedOnce()
        self.pump.flush()
        self.peer = self.pump.server
        (frame,) = self.peer.heard
        assert frame["type"] == "listen"
        (group,) = frame["groups"]
        return group

    def say(self, *frames):
        for frame in frames:
            self.peer.say(frame)
            self.pump.flush()

    def close(self, code):
        self.peer.sendClose(code, "because")
        self.pump.flush()
        self.peer.transport.loseConnection()
        self.pump.flush()

    def lose(self):
        self.peer.transport.abortConnection()
        self.pump.flush()

    def advance(self, seconds):
        self.reactor.advance(seconds)
        if self.pump is not None:
            self.pump.flush()

    def comes_back_after(self):
        """Seconds until the listener connects again, without the fraction that an attempt itself takes."""
        waited = 0.0
        while not self.is_connecting:
            assert waited < 100
            self.advance(0.25)
            waited += 0.25
        return int(waited)


def push(position, text="x"):
    return {"type": "push", "identifier": "chat", "push_id": None, "text": text, "position": position}


def test_lost_connection_resumes_at_the_last_position():
    world = World("chat:59")
    assert world.join() == {"identifiers": {"chat": 59}}
    world.say(READY, push(105, "a"), push(110, "b"))
    world.lose()
    world.comes_back_after()
    assert world.join() == {"identifiers": {"chat": 59}, "position": 110}
    world.say({**READY, "positions": [90]}, push(105, "repeated"), push(110, "repeated"), push(111, "c"))
    assert world.frames == ["a", "b", "c"]
    assert world.cursors == [100, 105, 110, 111]


def test_cursor_follows_the_heartbeats_of_a_quiet_channel():
    world = World()
    world.join()
    world.say(READY, {"type": "heartbeat", "position": 500})
    world.lose()
    world.comes_back_after()
    assert world.join()["position"] == 500


def test_position_behind_a_gap_may_be_lower():
    world = World()
    world.join()
    world.say(READY, push(1000), {"type": "gap", "identifiers": ["chat"]}, push(7, "of a new memory"), push(6, "old"))
    assert world.frames == ["x", "gap", "of a new memory"]
    assert world.cursors[-1] == 7


@pytest.mark.parametrize("silent_at_first", [True, False])
def test_silent_connection_is_left(silent_at_first):
    world = World()
    world.join()
    if not silent_at_first:
        world.say(READY)
        world.advance(34)
        world.say(push(101))  # every frame is a sign of life
        world.advance(34)
        assert not world.is_connecting
        world.advance(1)
    else:
        world.advance(10)
    world.comes_back_after()
    assert any("No heartbeat" in notice or "No answer" in notice for notice in world.notices)


@pytest.mark.parametrize(("chance", "delays"), [(1.0, [1, 2, 4, 8, 16, 30, 30]), (0.0, [0] * 7)])
def test_delays_grow_up_to_thirty_seconds(chance, delays):
    world = World(chance=chance)
    waited = []
    for _ in delays:
        ConnectionCompleter(world.reactor).failOnce()
        waited.append(world.comes_back_after())
    assert waited == delays
    assert len(world.notices) == 1, "the same reason is told once"


def test_delay_is_short_after_a_connection_that_held():
    world = World()
    for held, expected in ((0, 1), (0, 2), (5, 1), (0, 2)):
        world.join()
        world.say(READY)
        world.advance(held)
        world.lose()
        assert world.comes_back_after() == expected


@pytest.mark.parametrize(
    ("frame", "code", "delay"),
    [
        ({"type": "reconnect", "after": 4000}, 4200, 5),
        ({"type": "error", "code": "too_many_listeners", "detail": "Full.", "retry": 10}, 4101, 11),
        ({"type": "error", "code": "engine_unavailable", "detail": "Away.", "retry": 0}, 4100, 1),
        (None, 4103, 1),
        (None, 3000, 1),
    ],
)
def test_listener_waits_as_long_as_the_server_asks(frame, code, delay):
    world = World()
    world.join()
    if frame is not None:
        world.say(frame)
    world.close(code)
    assert world.comes_back_after() == delay
    assert not world.refusals


def test_delay_that_was_asked_for_is_not_kept():
    world = World()
    world.join()
    world.say({"type": "reconnect", "after": 4000})
    world.close(4200)
    world.comes_back_after()
    ConnectionCompleter(world.reactor).failOnce()
    assert world.comes_back_after() == 2


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "error", "code": "not_authorized", "detail": "Unknown key.", "retry": None}, 4001),
        (None, 4000),
        (None, 4003),
    ],
)
def test_refusal_for_good_ends_the_listener(frame, code):
    world = World()
    world.join()
    if frame is not None:
        world.say(frame)
        assert world.refusals == ["Unknown key. (not_authorized)"]
    world.close(code)
    world.advance(100)
    assert len(world.refusals) == 1
    assert not world.is_connecting


@pytest.mark.parametrize("message", [b"<html>", b"[]", b'{"kind":1}', b"\xff"])
def test_message_that_is_no_frame_ends_the_connection(message):
    world = World()
    world.join()
    world.peer.sendMessage(message, isBinary=True)
    world.pump.flush()
    assert world.comes_back_after() == 1
    assert world.frames == []


def test_stopped_listener_says_goodbye_and_stays_away():
    world = World()
    world.join()
    world.say(READY)
    world.listening.stop()
    world.pump.flush()
    assert world.peer.remoteCloseCode == 1000
    world.advance(100)
    assert not world.is_connecting


def test_warnings_of_the_server_are_told():
    world = World()
    world.join()
    world.say({**READY, "warnings": ["The secureKey does not match."]})
    assert world.notices == ["Listening", "The secureKey does not match."]
