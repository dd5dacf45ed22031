"""The outbox in each database in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.rig.postgres import running_postgres
from tests.client.outbox.databases import Database, MySQL, Postgres, SQLite, running


@pytest.fixture(scope="session")
def postgres_host() -> Iterator[Path]:
    """One PostgreSQL for all tests."""
    with running_postgres() as host:
        yield host


@pytest.fixture
def postgres(postgres_host: Path) -> Postgres:
    """An empty outbox in PostgreSQL."""
    return Postgres(postgres_host)


@pytest.fixture(scope="session", params=[SQLite, Postgres, MySQL], ids=lambda kind: kind.dialect)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[type, Path]]:
    """A kind of database, and where one runs."""
    with running(request.param, tmp_path_factory.mktemp("database")) as where:
        yield request.param, where


@pytest.fixture
def database(place: tuple[type, Path]) -> Database:
    """A database with an empty outbox."""
    kind, where = place
    return kind(where)
