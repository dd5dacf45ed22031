"""Replicas that are missing: pushes and readiness tell it, and no list has a push that a failover could lose."""

import pytest

from tests.conftest import Server
from tests.redis import Redis
from tests.wire import API_KEY, API_SECRET, eventually

BEARER = {"Authorization": f"Bearer {API_SECRET}"}


@pytest.fixture
def replica(tmp_path, redis):
    """A replica of the file's Redis, which has caught up."""
    redis.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = Redis(tmp_path / "replica")
    replica.options = (*replica.options, "--replicaof", f"127.0.0.1 {redis.port}")
    replica.start()
    eventually(lambda: b"state=online" in redis.command("INFO", "replication"), 20)
    yield replica
    replica.stop()


def ready(server: Server) -> object:
    """The status of /health/ready, or the reason why the server is not ready."""
    answer = server.request("GET", "/health/ready", port=server.admin_port)
    return answer.json.get("reason", answer.status)


def figure(server: Server, name: str) -> str:
    figures = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    return next(line.split()[1] for line in figures.splitlines() if line.startswith(name + " "))


def test_list_waits_for_replicas_and_refuses_without_them(make_server, redis, replica):
    server = make_server(redis=redis.url, redis_wait=1)
    other = make_server(redis=redis.url, redis_wait=1)
    replica.stop()

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


def test_missing_replicas_fail_readiness_without_any_push(make_server, redis, replica):
    server = make_server(redis=redis.url, redis_wait=1)
    assert figure(server, "cometify_redis_replicas") == "1.0"
    replica.stop()
    eventually(lambda: ready(server) == "replicas_missing", 10)
    assert [figure(server, f"cometify_{name}") for name in ("ready", "redis_up", "redis_replicas")] == [
        "0.0",
        "1.0",
        "0.0",
    ]
    replica.start()
    eventually(lambda: ready(server) == 200, 20)
    log = server.log.read_text()
    assert log.count("0 of 1 replicas of Redis answer") == 1
    assert "To survive the loss of a Redis, 2 replicas are needed" in log
    assert "Redis has 1 replicas again" in log
