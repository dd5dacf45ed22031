"""Sockets that are passed to a server, as systemd does: it is restarted, or another takes over, and nobody is refused."""

import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from bench.rig.balancers import DEPLOY
from cometify.config.settings import Settings
from cometify.runtime.inherited_sockets import FIRST
from tests.certificates import make_certificate
from tests.conftest import START_WITHIN, TWISTD, Redis, Server, assert_clean
from tests.contract.follower import Follower
from tests.wire import API_KEY, FORM, Client, Connection, eventually, form, request_bytes, secure

LAUNCHER = """
import os, sys
count = int(sys.argv[1])
for at, descriptor in enumerate(map(int, sys.argv[2 : 2 + count])):
    os.dup2(descriptor, 100 + at)
for at in range(count):
    os.dup2(100 + at, 3 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""
"""Does what systemd does: passes descriptors from 3 on, and tells whom they are for."""
TRANSPORTS = ("websocket", "stream", "events", "poll")
PUSHES = 90
DRAIN = 2
WITHIN = 2 * START_WITHIN
"""Most seconds of a test, on a busy machine."""


class Activated(Server):
    """A server whose HTTP port is a socket of the test's."""

    def __init__(self, folder: Path, options: dict[str, Any], *sockets: socket.socket) -> None:
        folder.mkdir()
        super().__init__(folder, {"drain": DRAIN, **options}, {})
        self.port = sockets[0].getsockname()[1]
        self.inherits = tuple(one.fileno() for one in sockets)
        launcher = (sys.executable, "-c", LAUNCHER, str(len(sockets)), *map(str, self.inherits))
        self.twistd = [*launcher, *TWISTD]


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as one:
        yield one


WRONG = """
import os, sys
os.dup2(os.open(os.devnull, os.O_RDONLY), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[1])
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Passes on a file in place of a socket."""


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        ("abc", "LISTEN_FDS: must be a number of sockets, and is 'abc'."),
        ("-1", "LISTEN_FDS: must be a number of sockets, and is '-1'."),
        (
            "1",
            "one of them is none (Socket operation on non-socket). Start the server by its unit of systemd, or without",
        ),
        ("99999999", "LISTEN_FDS: 99999999 sockets must be passed on as the descriptors from 3 on"),
    ],
)
def test_wrong_descriptors_stop_the_start_with_one_line(tmp_path, count, reason):
    server = Server(tmp_path, {}, {})
    server.twistd = [sys.executable, "-c", WRONG, count, *TWISTD]
    with pytest.raises(AssertionError):
        server.start()
    assert server.process is not None
    assert server.process.wait(10) == 1
    (line,) = [line for line in server.log.read_text().splitlines() if line.strip()]
    assert line.startswith("cometify: ")
    assert reason in line


class Publisher(threading.Thread):
    """Pushes fifty times a second over new connections. No push may be refused, except as `draining`: it is made again then."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.refused = 0
        self.slowest = 0.0
        self._client = client
        self._name = name

    def run(self) -> None:
        for number in range(PUSHES):
            text = f"{self._name} {number}"
            body = form({"secret": "0", "secure": secure(self._name, text), "text": text})
            began = time.monotonic()
            while True:
                # It waits as long as a start takes on a busy machine.
                with Connection(self._client.port, START_WITHIN) as connection:
                    connection.send(request_bytes("POST", f"/{API_KEY}/push/{self._name}", body, FORM))
                    answer = connection.answer()
                if answer.status == 200:
                    break
                assert (answer.status, answer.json["code"]) == (503, "draining"), answer
                self.refused += 1
                time.sleep(0.02)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.texts.append(text)
            time.sleep(0.02)


def followed(
    client: Client, name: str, strike: Any, transports: tuple[str, ...] = TRANSPORTS
) -> tuple[Publisher, list[Follower]]:
    """Push while twelve listeners follow, and strike after a third of the pushes. Each must get each push once."""
    followers = [Follower(client, transports[n % len(transports)], name, n, PUSHES, WITHIN) for n in range(12)]
    for follower in followers:
        follower.start()
    publisher = Publisher(client, name)
    try:
        for follower in followers:
            assert follower.joined.wait(20)
        publisher.start()
        eventually(lambda: len(publisher.texts) > PUSHES / 3)
        strike()
    finally:
        publisher.join(WITHIN)
        for follower in followers:
            follower.join(60)
    assert len(publisher.texts) == PUSHES, "a push was refused, or its connection was"
    for follower in followers:
        assert follower.texts == publisher.texts
    return publisher, followers


@pytest.mark.parametrize(("workers", "shared"), [(1, False), (1, True), (2, True)])
def test_restart_refuses_nobody_and_loses_nothing(tmp_path, redis: Redis, listening, workers, shared):
    options = {"redis": redis.url, "workers": workers} if shared else {}
    server = Activated(tmp_path / "server", options, listening)
    server.start()

    def restart() -> None:
        assert server.stop() == -signal.SIGTERM
        server.start()

    try:
        # A poller between two polls can miss what was kept in memory. It is told a gap.
        transports = TRANSPORTS if shared else TRANSPORTS[:3]
        publisher, followers = followed(server, f"restarted{workers}{shared}", restart, transports)
        if shared:  # otherwise the memory begins again, and all listeners are told so
            assert publisher.refused == 0
            assert sum(follower.gaps for follower in followers) == 0
    finally:
        server.stop()
    assert_clean(server.log.read_text())


def test_new_process_takes_over_from_the_old_one(tmp_path, redis: Redis, listening):
    old, new = (Activated(tmp_path / name, {"redis": redis.url}, listening) for name in ("old", "new"))
    old.start()

    def take_over() -> None:
        new.start()
        assert old.stop() == -signal.SIGTERM

    try:
        publisher, followers = followed(old, "handed_over", take_over)
        assert publisher.refused == 0
        assert sum(follower.gaps for follower in followers) == 0
        assert "are sent to other nodes" in old.log.read_text()
    finally:
        new.stop()
    for server in (old, new):
        assert_clean(server.log.read_text())


def test_endpoint_with_tls_uses_the_socket(tmp_path, listening):
    tls = make_certificate(tmp_path)
    port = listening.getsockname()[1]
    files = f"privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem"
    server = Activated(tmp_path / "server", {"http": [f"ssl:{port}:interface=127.0.0.1:{files}"]}, listening)
    server.start()
    try:
        with Connection(port, wrap=tls) as connection:
            connection.send(request_bytes("GET", "/openapi.json"))
            assert connection.answer().status == 200
    finally:
        server.stop()
    assert_clean(server.log.read_text())


def test_socket_without_an_endpoint_is_told(tmp_path, listening):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Activated(tmp_path / "server", {}, listening, other)
        server.start()
        try:
            address = "{}:{}".format(*other.getsockname())
            assert f"listens on {address}, and no endpoint has this address" in server.log.read_text()
            assert f":{server.port}, and no endpoint" not in server.log.read_text()
        finally:
            server.stop()


def test_sockets_of_another_process_are_left_alone(tmp_path, make_server):
    """Without a LISTEN_PID of its own a server opens its ports."""
    server = make_server()
    assert server.request("GET", "/openapi.json").status == 200
    assert "A socket was passed" not in server.log.read_text()


def test_unit_of_the_socket_has_the_addresses_of_the_defaults():
    lines = [line.partition("=") for line in (DEPLOY / "cometify.socket").read_text().splitlines()]
    addresses = [value for name, _, value in lines if name == "ListenStream"]
    settings = Settings(())
    assert addresses == [f"0.0.0.0:{text.removeprefix('tcp:')}" for text in (*settings.http, *settings.websocket)]


def test_unit_of_the_instances_starts_what_the_unit_starts():
    def commands(file: str) -> list[str]:
        parser = ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string((DEPLOY / file).read_text())
        return parser["Service"]["ExecStart"].split()

    instance = commands("cometify-instances.conf")
    assert instance == [*commands("cometify.service"), "--admin", "tcp:%i:interface=127.0.0.1"]
    assert FIRST == 3
