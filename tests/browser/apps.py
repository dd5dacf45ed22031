"""The back ends of the examples, each a process of its own."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import attrs
from playwright.sync_api import Page, Route

from bench.rig.ports import free_ports
from tests.conftest import PYTHONPATH, START_WITHIN, Server
from tests.wire import API_KEY, API_SECRET, Client

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TRACEBACK = "Traceback (most recent call last):\n"
FAULTS = ("PHP Warning", "PHP Fatal")
"""Words that must not be in a log."""
LEFT = ("BrokenPipeError", "ConnectionResetError")
"""Errors of a back end whose page was closed while it waited for an answer. A log may have them."""


@attrs.define
class App:
    """The back end of an example. `command`: makes its command line from its port. It runs in `folder`."""

    folder: Path
    command: Callable[[int], list[str]]
    environment: dict[str, str]
    port: int = attrs.field(factory=lambda: free_ports(1)[0])
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> Path:
        return self.folder / "app.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(self.port),
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": PYTHONPATH, "PORT": str(self.port), **self.environment},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_WITHIN
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)

    def post(self, path: str, form: dict[str, str]) -> int:
        """Send a form as a page does. Returns the status of the answer."""
        return self._send(path, "application/x-www-form-urlencoded", urlencode(form))

    def post_json(self, path: str, value: Any) -> int:
        """Send JSON as a page does. Returns the status of the answer."""
        return self._send(path, "application/json", json.dumps(value))

    def _send(self, path: str, kind: str, body: str) -> int:
        return Client(self.port).request("POST", f"/{path}", body.encode(), {"Content-Type": kind}).status


@contextmanager
def running(app: App) -> Iterator[App]:
    """Start a back end. Its log must have no fault at the end."""
    app.start()
    try:
        yield app
    finally:
        app.stop()
    log = app.log.read_text()
    assert faults(log) == [], log


def faults(log: str) -> list[str]:
    """List the faults in the log of a back end: for a traceback, the line of its error."""
    errors = [
        next((line for line in traceback.splitlines() if line and line[0] != " "), "an unfinished traceback")
        for traceback in log.split(TRACEBACK)[1:]
    ]
    return [error for error in errors if not error.startswith(LEFT)] + [fault for fault in FAULTS if fault in log]


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def account_of(server: Server) -> dict[str, str]:
    """Variables with which the back end of an app finds the server."""
    return {"COMETIFY_URL": f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"}


def copied(name: str, folder: Path, server: Server) -> Path:
    """Copy an example that needs no build. Its pages load the client from this server."""
    leave = shutil.ignore_patterns("node_modules", "__pycache__", "*.db")
    copy = shutil.copytree(EXAMPLES / name, folder / "examples" / name, ignore=leave)
    (folder / "sdk").symlink_to(ROOT / "sdk")
    for page in copy.rglob("*.html"):
        page.write_text(page.read_text().replace("http://localhost:8081", f"http://127.0.0.1:{server.port}"))
    return copy


def loading(page: Page, url: str | re.Pattern[str], meanwhile: Callable[[], None]) -> None:
    """Let a request of the page be answered, and do something before the page gets the answer."""

    def answer(route: Route) -> None:
        response = route.fetch()
        meanwhile()
        route.fulfill(response=response)

    page.route(url, answer, times=1)
