"""Connections leave no cycles behind, however they end, so frozen objects are freed all the same. And survivors of a long
collection are frozen.
"""

import gc
import json
import os
import signal
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from bench.rig.ports import free_ports
from cometify.core.account import Account
from cometify.runtime.gc_pauses import LONG, FindOverlooked, FreezeSurvivors
from tests.certificates import make_certificate
from tests.conftest import Server, assert_clean
from tests.memory import World
from tests.wire import API_KEY, API_SECRET, Connection

MANY = 40
"""Connections of a kind: zope.interface leaves two dozen tuples by itself, once."""


class TidyServer(Server):
    """See tidy_twistd. It serves TLS as well."""

    twistd = (sys.executable, "-m", "tests.runtime.tidy_twistd")

    def __init__(self, folder):
        super().__init__(folder, {}, {})
        self.tls = make_certificate(folder)
        (self.tls_port,) = free_ports(1)
        self.options["http"] = [
            f"tcp:{self.port}:interface=127.0.0.1",
            f"ssl:{self.tls_port}:privateKey=key.pem:certKey=cert.pem:interface=127.0.0.1",
        ]

    def told(self, how):
        """The line that the server writes when it gets a signal."""
        file = self.folder / "left"
        before = file.read_text().count("\n") if file.exists() else 0
        self.process.send_signal(how)
        until = time.monotonic() + 10
        while not file.exists() or file.read_text().count("\n") == before:
            assert time.monotonic() < until, "nothing was told"
            time.sleep(0.01)
        return json.loads(file.read_text().splitlines()[-1])

    def count_open(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208

    def has_open(self, files):
        """Wait until it has so many files open, which is when it has accepted all, or let go of all."""
        until = time.monotonic() + 10
        while self.count_open() != files:
            assert time.monotonic() < until, "it has others open"
            time.sleep(0.01)

    def opened(self, wrap):
        return Connection(self.tls_port, wrap=self.tls) if wrap else Connection(self.port)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = TidyServer(tmp_path_factory.mktemp("tidy")).start()
    looks = []
    while looks.count(min(looks, default=0)) < 10:  # the requests by which it was found ready are over
        looks.append(server.count_open())
        time.sleep(0.01)
    server.files = min(looks)
    yield server
    server.stop()
    assert_clean(server.log.read_text())


def get(path, *headers):
    lines = [f"GET /{API_KEY}/{path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
)
SAID = {
    "nothing": (b"", b""),
    "half a request": (b"GET /", b""),
    "half a body, in chunks": (
        f"POST /{API_KEY}/push/chat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode(), b"",
    ),
    "a page": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"</html>"),
    "a poll": (get("poll?identifiers=chat"), b"heartbeat"),
    "a poll that waits": (get("poll?identifiers=chat&position={now}"), b""),
    "a stream": (get("stream?identifiers=chat"), b"heartbeat"),
    "an event stream": (get("events?identifiers=chat"), b"heartbeat"),
    "a WebSocket": (get("websocket?identifiers=chat", *HANDSHAKE), b"heartbeat"),
}  # fmt: skip


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("said", SAID)
def test_connections_leave_no_cycles_behind(server, said, wrap, reset):
    request, answer = SAID[said]
    server.has_open(server.files)
    connections = [server.opened(wrap) for _ in range(MANY)]
    for connection in connections:
        connection.send(request.replace(b"{now}", b"%d" % (time.time() * 1_000_000)))
        if answer:
            connection.until(answer)
    server.has_open(server.files + MANY)
    server.request("GET", "/health/ready", port=server.admin_port)  # everything before it has been read
    assert server.told(signal.SIGUSR1) == "put aside"
    for connection in connections:
        with suppress(OSError):
            connection.reset() if reset else connection.close()
    server.has_open(server.files)
    left = server.told(signal.SIGUSR2)
    assert max(left.values(), default=0) < MANY, left


def test_survivors_of_a_long_collection_are_frozen():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock = Clock()
    aside = FreezeSurvivors(clock)
    before = gc.get_freeze_count()
    try:
        for generation, took in ((2, LONG * 0.9), (1, LONG * 1.1)):
            aside("start", {"generation": generation})
            clock.now += took
            aside("stop", {"generation": generation})
            assert gc.get_freeze_count() == before
        aside("start", {"generation": 2})
        clock.now += LONG * 1.1
        aside("stop", {"generation": 2})
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


class Ring:
    """An object in a cycle, which only a collection frees."""

    freed = 0

    def __init__(self):
        self.itself = self

    def __del__(self):
        Ring.freed += 1


def test_cycles_of_frozen_objects_are_found_once_there_are_many():
    gc.collect()
    gc.freeze()
    Ring.freed = 0
    try:
        look = FindOverlooked(1000)
        rings = [Ring() for _ in range(200)]
        gc.freeze()
        rings.clear()
        for _ in range(3):
            look()
        gc.collect()
        assert Ring.freed == 0
        rings = [Ring() for _ in range(1000)]
        gc.freeze()
        del rings[100:]
        look()
        assert Ring.freed == 1100
        assert gc.get_freeze_count() > 100  # the others are frozen again
        rings += [Ring() for _ in range(800)]
        gc.freeze()
        rings.clear()
        look()
        assert Ring.freed == 1100  # it counts from what was left
        rings += [Ring() for _ in range(100)]
        gc.freeze()
        gc.unfreeze()
        gc.collect()
        gc.freeze()  # as if much had ended by itself
        look()
        rings += [Ring() for _ in range(1000)]
        gc.freeze()
        rings.clear()
        look()
        assert Ring.freed >= 1100 + 800 + 1000
    finally:
        gc.unfreeze()
        gc.collect()


REFUSED = {
    "a poll without a right": get("poll?identifiers=chat&position=1&token=x"),
    "a first poll without a right": get("poll?identifiers=chat&token=x"),
    "a poll with one listener too many": get("poll?identifiers=chat&position=1"),
    "a poll that twisted.web has read": get("poll?identifiers=chat&position=1&token=x", "Via: a", "Via: b"),
    "a poll of nothing": get("poll?identifiers="),
    "a stream": get("stream?identifiers=chat&token=x"),
    "an event stream": get("events?identifiers=chat&token=x"),
    "a WebSocket that is none": get("websocket?identifiers=chat"),
}


@contextmanager
def nothing_left():
    """Assert that of each type fewer than `MANY` objects are left that only a collection can free."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.garbage.clear()
    try:
        yield
        gc.collect()
        left = Counter(type(one).__qualname__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert max(left.values(), default=0) < MANY, left


@pytest.mark.parametrize("said", REFUSED)
def test_refusals_leave_no_cycles_behind(said):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    world.stream("identifiers=chat")
    wires = [world.connect() for _ in range(MANY)]  # they stay open, so that only the refusals can leave something
    with nothing_left():
        for wire in wires:
            wire.receive(REFUSED[said])
            assert wire.head[0] >= 400 or b"error" in wire.body()


@pytest.mark.parametrize("target", ["stream?identifiers=chat", "events?identifiers=chat", "websocket"])
def test_ends_that_time_brings_leave_no_cycles_behind(target):
    """Streams end after ten minutes, and WebSockets that never listen after ten seconds."""
    World.eager = True  # the other transport of the tests keeps its protocol, which is a cycle of its own
    try:
        world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1000))
        wires = [world.connect() for _ in range(MANY)]
        for wire in wires:
            wire.receive(get(target, *(HANDSHAKE if target == "websocket" else ())))
        with nothing_left():
            world.advance(650)
            for wire in wires:
                wire.lose()
            world.advance(20)
            assert len(world.server.membership) == 0
    finally:
        World.end_all()
