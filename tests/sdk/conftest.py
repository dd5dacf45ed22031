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


class Driver:
    """A process that makes objects of one library and calls them. It writes nothing to its error output."""

    def __init__(self, language: str, folder: Path, environment: dict[str, str]) -> None:
        self._errors = folder / f"{language}.errors"
        self._read = 0
        self.is_answering = False
        """Whether a call has no answer yet. The next answer would be that of another call."""
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                COMMANDS[language],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **environment},
            )

    def ask(self, line: list[Any]) -> str:
        """The line that answers this line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.is_answering = True
        self.process.stdin.write(json.dumps(line).replace("Infinity", "1e999") + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, (self.process.wait(20), self.errors())
        self.is_answering = False
        return answer

    def errors(self) -> str:
        """The error output since the last time."""
        written = self._errors.read_bytes()[self._read :]
        self._read += len(written)
        return written.decode()

    def end(self) -> None:
        """End the process. It says nothing more, and has met no warning."""
        output, _ = self.process.communicate(timeout=20)
        assert (output, self.errors(), self.process.returncode) == ("", "", 0)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Library:
    """One object of the library, and all that its process has written. `server`, `key`: what it read in its URL."""

    def __init__(self, driver: Driver, language: str, url: str, options: dict[str, Any]) -> None:
        self.driver = driver
        self.language = language
        if language == "node" and "timeout" in options:
            options = {**options, "timeout": options["timeout"] * 1000}
        self.written = ""
        made = self._ask(["new", url, options])
        self._number, self.server, self.key = made["number"], made["made"], made["key"]

    def _ask(self, line: list[Any]) -> Any:
        answer = self.driver.ask(line)
        self.written += answer
        told = json.loads(answer)
        if "error" in told:
            raise LibraryError(told["error"])
        return told

    def call(self, method: str, /, **arguments: Any) -> Any:
        return self._ask([self._number, method, arguments])["result"]

    def push(self, identifier: str = "chat", content: Any = "Hello", secret: bool = False, **more: Any) -> Any:
        return self.call("push", identifier=identifier, content=content, secret=secret, **more)


Make = Callable[..., Library]


def url_of(port: int, secret: str = API_SECRET, host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{API_KEY}:{quote(secret, safe='')}@{host}:{port}"


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Driver]]:
    """drivers(language): the driver of a library, one for all tests of a file."""
    running: dict[str, Driver] = {}

    def driver(language: str) -> Driver:
        if language in running and running[language].is_answering:
            running.pop(language).kill()
        if language not in running:
            running[language] = Driver(language, tmp_path_factory.mktemp("driver"), {"COMETIFY_URL": ""})
        return running[language]

    yield driver
    for started in running.values():
        if started.is_answering:
            started.kill()
        else:
            started.end()


@pytest.fixture(params=list(COMMANDS))
def make(
    request: pytest.FixtureRequest, drivers: Callable[[str], Driver], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """make(url, timeout=…, bearer=…, environment=…): an object of each library in its turn.

    None may write to its error output, and none may show a secret. An object with an environment has a process of its own.
    """
    language = request.param
    made: list[Library] = []
    own: list[Driver] = []

    def make(url: str | int, environment: dict[str, str] | None = None, **options: Any) -> Library:
        if isinstance(url, int):
            url = url_of(url)
        if environment is None:
            driver = drivers(language)
        else:
            driver = Driver(language, tmp_path_factory.mktemp("driver"), environment)
            own.append(driver)
        made.append(Library(driver, language, url, options))
        return made[-1]

    yield make
    for driver in own:
        if driver.is_answering:
            driver.kill()
        elif driver.process.poll() is None:
            driver.end()
    shared = drivers(language)
    assert shared.errors() == ""
    shared.ask(["forget"])
    for library in made:
        assert API_SECRET not in library.written
