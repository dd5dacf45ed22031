"""A place for accounts: a file of SQLite, and a Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cometify.config.redis_url import RedisURL
from tests.accounts.nodes import Node
from tests.redis import RedisServer


@pytest.fixture(scope="package")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | RedisURL:
    if request.param == "sqlite":
        return tmp_path / "accounts.db"
    server = request.getfixturevalue("redis")
    server.command("FLUSHALL")
    return RedisURL(path=server.path)


@pytest.fixture
def node(place: Path | RedisURL) -> Iterator[Callable[..., Node]]:
    """Make nodes of one place."""
    made: list[Node] = []

    def make(*accounts: Any, **settings: Any) -> Node:
        made.append(Node(place, *accounts, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()
