"""A real transport, a slow peer, and the fan-out, which writes past the transport: no bytes overtake others."""

import json
import socket
import time
from contextlib import suppress

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from cometify.app.server import Cometify
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.engine.clock import engine_clock
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.tcp import EagerPort, EagerServer
from tests.wire import (
    API_KEY,
    API_SECRET,
    FORM,
    Connection,
    WebSocket,
    client_frame,
    form,
    request_bytes,
    secure,
)

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


PAGE = request_bytes("GET", "/openapi.json")


def push_bytes(text):
    fields = form({"text": text, "secret": "0", "secure": secure("chat", text)})
    return request_bytes("POST", f"/{API_KEY}/push/chat", fields, FORM)


class Slow(Connection):
    """A peer with tiny buffers in the kernel. It reads only when it is told to."""

    def __init__(self, world):
        super().__init__(world.port.getHost().port, timeout=0.005, receive_buffer=4096, segment=1_400)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.world = world

    def send(self, data: bytes) -> None:
        """Send bytes for which the kernel has room. The timeout is that of the whole call: a busy machine needs longer."""
        self.socket.settimeout(10)
        super().send(data)
        self.socket.settimeout(0.005)

    def fill(self):
        """Read the bytes that are there. While there are none the server has its turns."""
        for _ in range(2_000):
            try:
                return super().fill()
            except TimeoutError:
                self.world.turn()
        raise AssertionError("no bytes in 2,000 turns")


class Opened(WebSocket):
    """A WebSocket on a connection whose handshake is done."""

    def __init__(self, connection):
        self.connection = connection
        self.pongs = []
        self.headers = {}
        self.compressed = 0


class World:
    """A server in this process, whose reactor is turned by the test. `seconds`: the clock that measures its reads."""

    def __init__(self, seconds=time.perf_counter):
        self.reactor = EPollReactor()
        settings = Settings((Account(API_KEY, (API_SECRET,)),))
        server = Cometify(settings, self.reactor, engine_clock(), loop_hooks=install_direct_poll(self.reactor, seconds))
        self.port = EagerPort(0, server.http, 5, "127.0.0.1", self.reactor)
        self.port.startListening()
        self.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel makes it 4,608 bytes
        self.failures = []

    def turn(self, times=1):
        for _ in range(times):
            self.reactor.runUntilCurrent()
            self.reactor.doIteration(0)

    @property
    def transports(self):
        return [reader for reader in self.reactor.getReaders() if isinstance(reader, EagerServer)]

    def listener(self):
        """A WebSocket at the head, and the server's end of it."""
        peer = Slow(self)
        peer.send(request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat", None, UPGRADE))
        assert peer.head()[0] == 101
        websocket = Opened(peer)
        websocket.joined()
        (transport,) = [transport for transport in self.transports if transport.protocol is not None]
        return websocket, transport

    def push(self, text):
        with Slow(self) as publisher:
            publisher.send(push_bytes(text))
            assert publisher.answer().status == 200

    def observe(self, event):
        if "log_failure" in event:
            self.failures.append(event["log_failure"])

    def close(self):
        for left in self.reactor.removeAll():
            left.connectionLost(Failure(ConnectionDone()))
        self.reactor._poller.close()


@pytest.fixture
def world():
    world = World()
    globalLogPublisher.addObserver(world.observe)
    yield world
    globalLogPublisher.removeObserver(world.observe)
    world.close()
    assert world.failures == []


@pytest.mark.parametrize("transport", ["stream", "events", "websocket"])
def test_listener_does_not_overtake_answers_on_its_connection(world, transport):
    headers = UPGRADE if transport == "websocket" else None
    asked = request_bytes("GET", f"/{API_KEY}/{transport}?identifiers=chat", None, headers)
    with Slow(world) as peer:
        peer.send(PAGE * 2 + asked)  # more than the socket takes, less than what stops the reading
        for _ in range(5):
            world.turn()
            with suppress(TimeoutError):
                Connection.fill(peer)  # makes room in the socket before the reactor looks
        for _ in range(2):
            status, headers = peer.head()
            assert status == 200
            json.loads(peer.exactly(int(headers["content-length"])))
        status, headers = peer.head()
        assert status == (101 if transport == "websocket" else 200)
        peer.until(b'"type":"ready"')


def test_listener_that_was_ended_before_its_first_write_is_told(world):
    asked = request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat&listener=12345678")
    with Slow(world) as peer, Slow(world) as successor:
        peer.send(PAGE + asked)
        world.turn(2)
        successor.send(asked)
        assert successor.head()[0] == 200
        peer.exactly(int(peer.head()[1]["content-length"]))
        assert peer.head()[0] == 200
        frames = [json.loads(chunk) for chunk in peer.chunks()]
        assert [frame["type"] for frame in frames] == ["ready", "error"]
        assert frames[1]["code"] == "replaced"


def test_websocket_that_asks_before_it_reads_is_served_later(world):
    with Slow(world) as peer:
        peer.send(request_bytes("GET", f"/{API_KEY}/websocket", None, UPGRADE))
        status, _headers = peer.head()
        assert status == 101
        pings = client_frame(b"x" * 125, opcode=9) * 50
        for _ in range(20):  # the pongs fill the socket
            peer.send(pings)
            world.turn()
        peer.send(client_frame(b'{"type":"listen","groups":[{"identifiers":["chat"]}]}'))
        websocket = Opened(peer)
        websocket.joined()
        assert set(websocket.pongs) == {b"x" * 125}
        assert len(websocket.pongs) < 1000, "the socket was not full"


def test_waiting_pong_is_neither_overtaken_nor_in_the_way(world):
    websocket, transport = world.listener()
    with websocket:
        ping = client_frame(b"x" * 125, opcode=9)
        for _ in range(1_000):
            if transport.unsent:
                break
            websocket.connection.send(ping * 20)
            world.turn()
        assert transport.unsent, "the pongs did not fill the socket"
        for text in ("first", "second"):
            world.push(text)
            with suppress(TimeoutError):
                for _ in range(1_000):  # makes room for the fan-out, before the reactor looks
                    Connection.fill(websocket.connection)
        assert websocket.texts(2) == ["first", "second"]
        assert set(websocket.pongs) == {b"x" * 125}


def test_at_most_a_frame_is_kept_for_a_listener_that_reads_none(world):
    websocket, transport = world.listener()
    with websocket:
        texts = [f"{number}:" + "x" * 3_000 for number in range(60)]
        waited = []
        with Slow(world) as publisher:
            for some in (texts[:30], texts[30:]):  # the kernel has room for so many at once, even on a busy machine
                publisher.send(b"".join([push_bytes(text) for text in some]))  # many leave in one write of the fan-out
                for _ in some:
                    assert publisher.answer().status == 200
                    waited.append(transport.unsent)
        assert max(waited) > 0, "the socket was not full"
        assert max(waited) < 3_200
        assert websocket.texts(len(texts)) == texts


def test_bound_send_of_a_lost_connection_reaches_no_other_socket(world):
    websocket, transport = world.listener()
    listener, number, send = transport.protocol, transport.socket.fileno(), transport.protocol.send
    websocket.connection.reset()
    for _ in range(1_000):
        if not transport.connected:
            break
        world.turn()
    assert not transport.connected
    other = socket.socketpair()
    with other[0], other[1]:
        assert number in {end.fileno() for end in other}, "the number has a new owner"
        with pytest.raises(OSError, match="Bad file descriptor"):
            send(b"meant for somebody else")
        assert listener.send is None
        for end in other:
            end.setblocking(False)
            with pytest.raises(BlockingIOError):
                end.recv(1)


def test_pipelined_requests_of_both_ways_are_answered_in_order(world):
    plain = push_bytes("plain")
    odd = plain.replace(b"\r\n\r\n", b"\r\nX-Twice: a\r\nX-Twice: a\r\n\r\n", 1)
    last = plain.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    with Slow(world) as peer:
        for sent in (plain, plain + odd, odd + plain, plain * 2, plain + odd + last):
            peer.send(sent)
            world.turn()
        positions = [json.loads(peer.answer().body)["position"] for _ in range(10)]
        assert positions == sorted(positions)
        with pytest.raises(EOFError):
            peer.answer()


def test_pages_are_not_made_for_a_peer_that_reads_none_of_them(world):
    with Slow(world) as peer:
        peer.send(PAGE * 60)
        world.turn(20)
        (transport,) = world.reactor.getWriters()
        assert 0 < transport.unsent < 128 * 1024
        for _ in range(60):
            status, headers = peer.head()
            assert status == 200
            peer.exactly(int(headers["content-length"]))


# Requests that come in the turn in which the poll before them is replaced.
NEXT = {
    "closing": request_bytes("GET", f"/{API_KEY}/poll", None, {"Connection": "close"}),
    "odd": request_bytes("GET", "/nowhere").replace(b"\r\n\r\n", b"\r\nX-Twice: a\r\nX-Twice: a\r\n\r\n"),
    "two": request_bytes("GET", "/nobody/poll?identifiers=chat") + request_bytes("GET", f"/{API_KEY}/poll"),
    "stream": request_bytes("GET", f"/{API_KEY}/stream?identifiers=chat"),
}


@pytest.mark.parametrize("following", NEXT)
def test_early_request_is_answered_before_one_of_the_same_turn(world, following):
    poll = f"/{API_KEY}/poll?identifiers=chat&listener=0123456789"
    with Slow(world) as peer, Slow(world) as other:
        peer.send(request_bytes("GET", poll))
        position = peer.answer().frames[-1]["position"]
        waiting = request_bytes("GET", f"{poll}&position={position}")
        peer.send(waiting)
        world.turn()
        peer.send(request_bytes("GET", f"/{API_KEY}/poll?identifiers=1"))
        world.turn(2)  # in the second turn epoll forgets the order of the first
        other.send(waiting)  # epoll reports it first because it came first
        peer.send(NEXT[following])
        world.turn()
        told = [peer.answer().json["code"], peer.answer().json["code"]]
        assert told == ["replaced", "invalid_identifier"]
        status, _headers = peer.head()
        assert status == {"closing": 400, "odd": 404, "two": 403, "stream": 200}[following]
