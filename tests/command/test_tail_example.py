"""examples/tail: programs that hear every push over restarts of the server and their own."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.command.programs import environment
from tests.conftest import Server
from tests.redis import Redis
from tests.wire import API_KEY, API_SECRET, eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "tail"
CHANNELS = ["deploys", "logs"]


@pytest.fixture
def server(make_server: Callable[..., Server], redis: Redis) -> Server:
    """A server whose pushes outlive its restarts."""
    return make_server(redis=redis.url, drain=1, heartbeat=1)


@pytest.fixture
def folder(tmp_path: Path, server: Server) -> Path:
    """A copy of the example, in which `cometify` is in the path."""
    copy = shutil.copytree(EXAMPLE, tmp_path / "tail")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "cometify").write_text(f'#!/bin/sh\nexec {sys.executable} -m cometify "$@"\n')
    (programs / "cometify").chmod(0o755)
    return copy


@contextmanager
def tail(folder: Path, server: Server, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program, and kill it and its listener with SIGKILL at the end."""
    joined = joins(server)
    variables = environment(
        COMETIFY_URL=f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}",
        PATH=f"{folder.parent / 'bin'}:{os.environ['PATH']}",
    )
    with (folder / "printed").open("ab") as printed, (folder / "errors").open("ab") as errors:
        process = subprocess.Popen(
            [*command, *CHANNELS], cwd=folder, env=variables, stdout=printed, stderr=errors, start_new_session=True
        )
        try:
            eventually(lambda: joins(server) > joined, 60)
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def joins(server: Server) -> int:
    """Return how often a listener has joined. One that was killed a moment ago may still count as joined now."""
    metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    return sum(
        int(float(value))
        for value in re.findall(r"^cometify_listeners_joined_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    )


class Pushes:
    """Pushes numbers to the channels in turn, public ones and secret ones."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.made: list[str] = []

    def push(self, count: int) -> None:
        for number in range(len(self.made), len(self.made) + count):
            self.server.pushed(CHANNELS[number % 2], str(number), secret=int(number % 3 == 0))
            self.made.append(str(number))


def filed(folder: Path) -> list[str]:
    db = sqlite3.connect(folder / "tail.db")
    try:
        return [text for (text,) in db.execute("SELECT content FROM pushes ORDER BY rowid")]
    finally:
        db.close()


def printed(folder: Path) -> list[str]:
    return [line.split()[-1] for line in (folder / "printed").read_text().splitlines()]


def test_python_tail_has_each_push_once_over_restarts(server: Server, folder: Path):
    pushes = Pushes(server)
    with tail(folder, server, sys.executable, "tail.py"):
        pushes.push(10)
        server.stop(signal.SIGKILL)
        server.start()
        pushes.push(10)
        server.stop()
        server.start()
        pushes.push(10)
        eventually(lambda: len(filed(folder)) > 15, 30)
    pushes.push(10)
    with tail(folder, server, sys.executable, "tail.py"):
        pushes.push(10)
        eventually(lambda: len(filed(folder)) >= 50, 30)
        assert filed(folder) == pushes.made
    assert "lost" not in (folder / "errors").read_text()


def test_shell_tail_goes_on_where_it_stopped(server: Server, folder: Path):
    pushes = Pushes(server)
    with tail(folder, server, "sh", "tail.sh") as process:
        pushes.push(10)
        server.stop(signal.SIGKILL)
        server.start()
        pushes.push(10)
        eventually(lambda: len(printed(folder)) >= 20, 30)
        process.terminate()
        assert process.wait(20) == 0
    pushes.push(10)
    with tail(folder, server, "sh", "tail.sh"):
        eventually(lambda: len(printed(folder)) >= 30, 30)
        pushes.push(1)
        eventually(lambda: len(printed(folder)) >= 31, 30)
    assert printed(folder) == pushes.made
