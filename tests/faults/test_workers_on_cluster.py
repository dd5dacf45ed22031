"""Several workers on a Redis Cluster, while a replica takes over from the master of their account."""

import re
from contextlib import ExitStack

import pytest

from bench.rig.redis_cluster import RedisCluster
from tests.certificates import make_key_pair
from tests.conftest import Server, assert_clean
from tests.contract.follower import follow_and_push
from tests.wire import API_KEY


@pytest.mark.parametrize("over", ["tcp", "tls"])
def test_workers_lose_and_double_nothing_when_a_replica_takes_over(tmp_path, over):
    if over == "tls":
        make_key_pair(tmp_path / "key.pem", tmp_path / "cert.pem")
    with ExitStack() as stack:
        cluster = RedisCluster(tmp_path / "cluster", certificates=tmp_path if over == "tls" else None).start()
        stack.callback(cluster.end)
        server = Server(tmp_path, {"redis": cluster.url, "heartbeat": 1, "drain": 0, "workers": 2}, {})
        server.start()
        stack.callback(server.stop)
        follow_and_push(server, "workers", lambda: cluster.fail_over(API_KEY))
        metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    assert_clean(server.log.read_text())
    accepted = re.findall(r'^cometify_pushes_accepted_total{.*worker="\d".*} (\S+)', metrics, re.MULTILINE)
    assert len(accepted) == 2
    assert all(map(float, accepted))
