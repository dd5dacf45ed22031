"""Several nodes on one real Redis. The test moves their connections and their clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import _nothing_fails_unseen, moved_redis  # noqa: F401 - fixtures
from tests.engine.redis.nodes import Nodes
from tests.memory import World
from tests.redis import RedisServer


@pytest.fixture
def nodes(moved_redis: RedisServer) -> Iterator[Nodes]:  # noqa: F811
    """Two nodes of one Redis."""
    World.redis = moved_redis
    nodes = Nodes(World(), 2)
    yield nodes
    nodes.redis.close()
    World.end_all()
    moved_redis.command("FLUSHALL")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of one test, which may stop it and start it again."""
    redis = RedisServer(tmp_path / "redis", moved=True).start()
    World.redis = redis
    yield redis
    World.end_all()
    redis.stop()
