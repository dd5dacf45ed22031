"""Every sentence of the wire contract that can be seen from outside, each a test that is named by the promise.

Tests of a server in memory run twice, unless the mark `memory` says why they cannot: with the memory engine over the eager
TCP transport of production, and with Redis over a transport that takes everything, as TLS and Unix sockets do. All four
combinations would take twice the time, and engines and transports never meet in the code.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

from tests.memory import World
from tests.redis import RedisServer


@pytest.fixture(autouse=True)
def _nothing_fails_unseen() -> Iterator[None]:
    """Whatever a test does to a server in memory, no failure is logged."""
    failures: list[Any] = []

    def observe(event: dict[str, Any]) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)
    assert not failures, failures


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    real = {"server", "make_server"} & set(metafunc.fixturenames)
    in_memory = "world" in metafunc.fixturenames or hasattr(metafunc.module, "World")
    examples = getattr(metafunc.function, "is_hypothesis_test", False)  # each with worlds of its own: they are too many
    if in_memory and not real and not examples and metafunc.definition.get_closest_marker("memory") is None:
        metafunc.parametrize("engine", ["memory", "redis"], indirect=True)


@pytest.fixture(scope="session")
def moved_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for all tests of this process, whose clock the test moves."""
    redis = RedisServer(tmp_path_factory.mktemp("redis"), moved=True).start()
    yield redis
    redis.stop()


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The engine of the worlds of a test, and with it the transport of their connections."""
    name = getattr(request, "param", "memory")
    World.eager = name == "memory"
    if name == "redis":
        World.redis = request.getfixturevalue("moved_redis")
    yield name
    if name == "redis":
        World.redis.command("FLUSHALL")
    World.end_all()


@pytest.fixture
def world(engine: str) -> World:
    return World()
