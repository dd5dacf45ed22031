"""A list of kept pushes tells no push that the replicas do not have yet, because a failover could lose it."""

import pytest

from tests.redis import Redis
from tests.wire import API_KEY, API_SECRET, eventually

BEARER = {"Authorization": f"Bearer {API_SECRET}"}


@pytest.fixture
def replica(tmp_path, redis):
    """A replica of the file's Redis, which the test starts."""
    replica = Redis(tmp_path / "replica")
    replica.options = (*replica.options, "--replicaof", f"127.0.0.1 {redis.port}")
    yield replica
    replica.stop()


def test_list_waits_for_replicas_and_refuses_without_them(make_server, redis, replica):
    redis.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    server = make_server(redis=redis.url, redis_wait=1)
    other = make_server(redis=redis.url, redis_wait=1)

    def listed(node):
        return node.request("GET", f"/{API_KEY}/identifiers/orders/pushes", headers=BEARER)

    assert listed(other).json["pushes"] == []
    assert server.push("orders", "one", push_id=7).status == 503  # nobody knows whether it was made
    answer = listed(other)
    assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
    assert "replicas" in answer.json["detail"]
    replica.start()
    eventually(lambda: listed(other).status == 200, 10)
    assert [frame["push_id"] for frame in listed(other).json["pushes"]] == [7]
