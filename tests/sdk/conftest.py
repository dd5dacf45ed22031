"""The libraries for back ends in PHP and Node, each in a process that carries out the calls of a test."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.wire import API_KEY, API_SECRET

SDK = Path(__file__).parents[2] / "sdk"
HERE = Path(__file__).parent
COMMANDS = {
    "php": ["php", str(HERE / "driver.php"), str(SDK / "php/Cometify.php")],
    "node": ["node", str(HERE / "driver.mjs"), str(SDK / "node/index.js")],
}


class LibraryError(Exception):
    """What the library has thrown, with the fields of its error."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__(fields["shown"])
        self.code: str = fields["code"]
        self.detail: str = fields["detail"]
        self.status: int | None = fields["status"]
        self.maybe_pushed: bool = fields["maybePushed"]
        self.idempotency_key: str | None = fields["idempotencyKey"]
        self.fields = fields


class Library:
    """One object of the library, and all that its process has written. `server`, `key`: what it read in its URL."""

    def __init__(self, language: str, url: str, options: dict[str, Any], environment: dict[str, str]) -> None:
        self.language = language
        if language == "node" and "timeout" in options:
            options = {**options, "timeout": options["timeout"] * 1000}
        self.process = subprocess.Popen(
            [*COMMANDS[language], url, json.dumps(options).replace("Infinity", "1e999")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.written = ""
        try:
            made = self._line()
        except LibraryError:
            self.end()
            raise
        self.server, self.key = made["made"], made["key"]

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate())
        self.written += line
        told = json.loads(line)
        if "error" in told:
            raise LibraryError(told["error"])
        return told

    def call(self, method: str, /, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]) + "\n")
        self.process.stdin.flush()
        return self._line()["result"]

    def push(self, identifier: str = "chat", content: Any = "Hello", secret: bool = False, **more: Any) -> Any:
        return self.call("push", identifier=identifier, content=content, secret=secret, **more)

    def end(self) -> str:
        """Close its input. Returns what it wrote to its error output."""
        output, errors = self.process.communicate(timeout=20)
        self.written += output + errors
        return errors


Make = Callable[..., Library]


def url_of(port: int, secret: str = API_SECRET, host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{API_KEY}:{quote(secret, safe='')}@{host}:{port}"


@pytest.fixture(params=list(COMMANDS))
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """make(url, timeout=…, bearer=…, environment=…): an object of each library in its turn.

    None may write to its error output, and none may show a secret.
    """
    made: list[Library] = []

    def make(url: str | int, environment: dict[str, str] | None = None, **options: Any) -> Library:
        if isinstance(url, int):
            url = url_of(url)
        made.append(Library(request.param, url, options, environment or {}))
        return made[-1]

    yield make
    for library in made:
        if library.process.poll() is None:
            assert library.end() == ""
            assert library.process.returncode == 0
        assert API_SECRET not in library.written
