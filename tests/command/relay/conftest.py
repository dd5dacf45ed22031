"""Relays as processes, an outbox in each database, and the pushes that the server has."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from cometify.client import Cometify, KeptPush
from cometify.command.main import main
from tests.client.conftest import scripted  # noqa: F401 - a fixture
from tests.client.outbox.conftest import database, place, postgres, postgres_host  # noqa: F401 - fixtures
from tests.client.outbox.databases import Database, SQLite
from tests.client.scripted import Script, Served
from tests.command.programs import Program
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, Connection, request_bytes


@pytest.fixture
def channel() -> str:
    """An identifier of the test alone."""
    return f"c{secrets.token_hex(6)}"


@pytest.fixture
def sqlite(tmp_path) -> SQLite:
    """An empty outbox in a file."""
    return SQLite(tmp_path / "outbox.db")


def url_of(server: Any) -> str:
    return f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Start relays: start(database, server, "--once"). They are killed at the end, and no secret stands in their output."""
    programs: list[Program] = []

    def start(outbox: Database, server: Any, *options: str) -> Program:
        programs.append(Program("relay", outbox.url, *options, COMETIFY_URL=url_of(server)))
        return programs[-1]

    yield start
    for program in programs:
        program.__exit__()
        while not program.errors.empty():
            line = program.errors.get()
            assert API_SECRET not in line
            assert "Traceback" not in line


@pytest.fixture
def relay() -> Callable[..., str]:
    """Run a relay to its end in this process: relay(database, server, status=0). Returns its output.

    Its option is --once if no other is given.
    """

    def run(outbox: Database, server: Any, *options: str, status: int = 0) -> str:
        arguments = ["relay", outbox.url, *(options or ("--once",))]
        result = CliRunner().invoke(main, arguments, env={"COMETIFY_URL": url_of(server)})
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert API_SECRET not in result.output
        return str(result.stdout)

    return run


def pushed(server: Server, identifier: str) -> list[KeptPush]:
    """The pushes of an identifier, in the order of their positions."""
    found: list[KeptPush] = []
    with Cometify.from_url(url_of(server), timeout=20) as client:
        after: int | None = 0
        while after is not None:
            page = client.pushes(identifier, after=after)
            found += page.pushes
            after = page.next
    return found


def texts(server: Server, identifier: str) -> list[str | None]:
    return [push.text for push in pushed(server, identifier)]


def forwarding(
    server: Server, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None
) -> Script:
    """Forward each request to a real server. `before` and `after` are called around each push."""

    def script(served: Served) -> None:
        while True:
            request = served.request()
            if request.method == "POST":
                before()
            answer = forwarded(server, request)
            if request.method == "POST":
                after()
            served.answer(answer.status, answer.body)

    return script


def forwarded(server: Server, request: Any) -> Any:
    headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
    with Connection(server.port) as connection:
        connection.send(request_bytes(request.method, request.target, request.body or None, headers))
        return connection.answer()
