"""The back ends of the examples, each a process of its own."""

import json
import os
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

from bench.rig.ports import free_ports
from tests.conftest import PYTHONPATH, START_WITHIN
from tests.wire import Client

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@attrs.define
class App:
    """The back end of an example. `command`: makes its command line from its port. It runs in `folder`."""

    folder: Path
    command: Callable[[int], list[str]]
    environment: dict[str, str]
    faults: tuple[str, ...] = ("Traceback", "PHP Warning", "PHP Fatal")
    """Words that must not be in its log."""
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
def running(
    folder: Path, command: Callable[[int], list[str]], environment: dict[str, str] | None = None
) -> Iterator[App]:
    """Start a back end. Its log must have no fault at the end."""
    app = App(folder, command, environment or {})
    app.start()
    try:
        yield app
    finally:
        app.stop()
    log = app.log.read_text()
    assert [word for word in app.faults if word in log] == [], log


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
