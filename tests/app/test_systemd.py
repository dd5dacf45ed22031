"""systemd is told when the server is ready, is well, reloads and stops."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis import Redis
from tests.wire import API_KEY, eventually


class Notified:
    """The socket on which systemd listens."""

    def __init__(self, where: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(where)
        self.messages: list[list[str]] = []

    def read(self) -> list[str]:
        """The first lines of all messages so far."""
        while True:
            try:
                self.messages.append(self.socket.recv(4096, socket.MSG_DONTWAIT).decode().split("\n"))
            except BlockingIOError:
                return [message[0] for message in self.messages]

    def forget(self) -> None:
        self.read()
        self.messages.clear()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notified]:
    where = str(tmp_path / "notify")
    notified = Notified(where)
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    yield notified
    notified.socket.close()


def test_ready_watchdog_reload_and_stop_are_told(make_server, systemd):
    server = make_server()
    eventually(lambda: "READY=1" in systemd.read())
    eventually(lambda: systemd.read().count("WATCHDOG=1") >= 3)
    systemd.forget()
    before = time.monotonic_ns() // 1000
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "READY=1" in systemd.read())
    told = [message for message in systemd.messages if message[0] != "WATCHDOG=1"]
    assert [message[0] for message in told] == ["RELOADING=1", "READY=1"]
    name, _, number = told[0][1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(number) <= time.monotonic_ns() // 1000
    systemd.forget()
    server.stop()
    assert "STOPPING=1" in systemd.read()


def test_server_without_its_redis_is_not_ready(make_server, systemd, tmp_path):
    redis = Redis(tmp_path / "redis").start()
    try:
        first = make_server(redis=redis.url)
        eventually(lambda: "READY=1" in systemd.read())
        first.stop()
        systemd.forget()
        redis.stop()
        late = make_server(waits=False, redis=redis.url)
        eventually(lambda: "WATCHDOG=1" in systemd.read())
        eventually(lambda: "is away" in late.log.read_text())
        assert "READY=1" not in systemd.read()
        redis.start()
        eventually(lambda: "READY=1" in systemd.read())
        assert late.pushed("chat", "x")
    finally:
        redis.stop()


def test_watchdog_hears_nothing_while_all_workers_are_stopped(make_server, systemd, redis):
    server = make_server(redis=redis.url, workers=2, worker_timeout=0)
    for number in (1, 2):  # a worker that has given no sign yet is still starting
        up = f'cometify_worker_up{{worker="{number}"}} 1.0'
        eventually(lambda up=up: up in server.request("GET", "/metrics", port=server.admin_port).body.decode())
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    workers = [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().startswith("cometify-")]
    eventually(lambda: systemd.read().count("WATCHDOG=1") >= 3)
    signal_all(workers[:1], signal.SIGSTOP)
    eventually(lambda: "has not answered" in server.log.read_text())
    systemd.forget()
    eventually(lambda: "WATCHDOG=1" in systemd.read())  # the other one serves
    signal_all(workers[1:], signal.SIGSTOP)
    eventually(lambda: server.log.read_text().count("has not answered") == 2)
    time.sleep(0.5)
    systemd.forget()
    time.sleep(1)
    assert systemd.read() == []
    signal_all(workers, signal.SIGCONT)
    eventually(lambda: "WATCHDOG=1" in systemd.read())
    assert server.request("GET", f"/{API_KEY}/position").status == 200


def signal_all(pids: list[int], which: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, which)
