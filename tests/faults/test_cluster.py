"""A Redis Cluster: accounts at their masters, a slot that moves while listeners listen, and a master that dies."""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from bench.rig.redis_cluster import MASTERS, RedisCluster
from cometify.engine.redis.cluster.redirector import FOLLOW_WITHIN
from tests.conftest import Server, assert_clean
from tests.wire import API_KEY, API_SECRET, Connection, WebSocket, eventually, request_bytes

KEYS = ["site02", "site01", "site04"]
"""API keys whose slots are at the first, the second and the third master."""
BESIDE = "site05"
"""Another one at the second master."""


class ServerOfCluster(Server):
    """A server with an account at each master."""

    def write_config(self) -> None:
        super().write_config()
        with (self.folder / "cometify.toml").open("a") as file:
            file.writelines(f'[[account]]\napi_key = "{key}"\napi_secret = "{API_SECRET}"\n' for key in [*KEYS, BESIDE])

    def texts(self, key: str, query: str) -> list[str]:
        """What a poll gets at once: the texts of pushes, and the types of what tells of a loss."""
        frames = self.request("GET", f"/{key}/poll?identifiers={query}").frames
        return [
            str(frame.get("text") or frame["type"]) for frame in frames if frame["type"] in ("push", "gap", "error")
        ]

    def metric(self, name: str) -> list[float]:
        lines = self.request("GET", "/metrics", port=self.admin_port).body.decode().splitlines()
        return sorted(float(line.split()[-1]) for line in lines if line.startswith(name))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster")).start()
    yield cluster
    cluster.end()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, cluster: RedisCluster) -> Iterator[list[ServerOfCluster]]:
    """Two nodes with this cluster. All tests of the file use them."""
    options = {"redis": cluster.url, "accounts": "redis", "heartbeat": 1, "drain": 0}
    servers = [ServerOfCluster(tmp_path_factory.mktemp(name), options, {}) for name in ("node0", "node1")]
    for server in servers:
        server.start()
    for server in servers:
        eventually(lambda server=server: server.metric("cometify_redis_up") == [1.0] * MASTERS)
    yield servers
    for server in servers:
        server.stop()
        assert_clean(server.log.read_text())


def joining(server: Server, key: str, query: str = "chat") -> WebSocket:
    listener = WebSocket(server.port, f"/{key}/websocket?identifiers={query}")
    listener.joined()
    return listener


def heard(listener: WebSocket, count: int) -> list[str]:
    """The next pushes, and the types of what tells of a loss."""
    found = []
    while len(found) < count:
        frame = listener.frame()
        if frame["type"] != "heartbeat":
            found.append(frame.get("text") or frame["type"])
    return found


def test_accounts_are_pushed_and_replayed_at_their_masters(cluster, nodes):
    assert [cluster.master_of(key) for key in KEYS] == cluster.masters
    pushing, listening = nodes
    first = {}
    with joining(listening, KEYS[0]) as here, joining(listening, KEYS[1]) as there:
        for key in KEYS:
            first[key] = pushing.push("chat", "1", key=key).json["position"]
            assert pushing.push("chat", "2", key=key, push_id=7).status == 200
            assert pushing.push("chat", "3", key=key, push_id=8).status == 200
        assert heard(here, 3) == heard(there, 3) == ["1", "2", "3"]
        channels = [master.command("PUBSUB", "SHARDCHANNELS", "*:chat") for master in cluster.masters]
        names = [
            f"cometify:{{{key}}}:-{master.node_id[:8]}:{{{key}}}:chat"
            for key, master in zip(KEYS, cluster.masters, strict=True)
        ]
        assert channels == [[names[0]], [names[1]], []]
    for master, key in zip(cluster.masters, KEYS, strict=True):
        assert listening.texts(key, f"chat&position={first[key]}") == ["2", "3"]
        assert listening.texts(key, "chat:7") == ["gap", "3"], "an internal id, and a memory that has just begun"
        assert master.command("EXISTS", f"cometify:{{{key}}}:state") == 1
    assert pushing.push("chat", "other account", key=API_KEY).status == 200


def test_account_that_is_added_at_one_node_is_known_at_the_other(nodes):
    body, kind = json.dumps({}).encode(), {"Content-Type": "application/json"}
    added = nodes[0].request("PUT", "/accounts/added", body, kind, port=nodes[0].admin_port)
    assert added.status == 201, added
    bearer = {**kind, "Authorization": f"Bearer {added.json['api_secret']}"}
    data = json.dumps({"text": "x", "secret": 0}).encode()

    def push() -> int:
        return nodes[1].request("POST", "/added/push/chat", data, bearer).status

    eventually(lambda: push() == 200)


def test_questions_about_an_account_reach_all_nodes(nodes):
    key, bearer = KEYS[2], {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    with joining(nodes[0], key, "news&listener=visitor1") as here, joining(nodes[1], key, "news") as there:
        listed = nodes[0].request("GET", f"/{key}/identifiers/news", headers=bearer).json
        assert listed["listeners"] == 2
        body = json.dumps({"listener": "visitor1"}).encode()
        assert nodes[1].request("POST", f"/{key}/disconnect", body, bearer).json == {"disconnected": 1}
        assert here.closed() == 4001
        with (
            joining(nodes[1], key, "news&listener=visitor2") as before,
            joining(nodes[0], key, "news&listener=visitor2"),
        ):
            assert before.closed() == 4000, "its listener id is at another node now"
        assert nodes[0].push("news", "still here", key=key).status == 200
        assert heard(there, 1) == ["still here"]


def test_slot_moves_while_listeners_listen_without_a_gap(cluster, nodes):
    key, target = KEYS[1], cluster.masters[2]
    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json", "Connection": "close"}
    data = json.dumps({"text": "waited", "secret": 0}).encode()
    with joining(nodes[0], key) as here, joining(nodes[1], key) as there, Connection(nodes[1].port) as pushing:
        first = nodes[0].push("chat", "before", key=key).json["position"]
        began = time.monotonic()
        source = cluster.begin_to_move(key, target)
        while cluster.move_keys(key, source, target):
            pass
        pushing.send(request_bytes("POST", f"/{key}/push/chat", data, headers))
        assert cluster.master_of(BESIDE) is source
        assert nodes[1].push("chat", "behind it on the connection to Redis", key=BESIDE).status == 200
        cluster.end_move(key, source, target)
        is_slow_machine = time.monotonic() - began > FOLLOW_WITHIN / 2
        waited = pushing.answer()
        if waited.status != 200 and is_slow_machine:
            assert "nothing was pushed" in waited.json["detail"]
            eventually(lambda: nodes[1].push("chat", "waited", key=key).status == 200)
        else:
            assert waited.status == 200
        assert nodes[0].push("chat", "after", key=key).status == 200
        assert heard(here, 3) == heard(there, 3) == ["before", "waited", "after"]
        for node in nodes:
            assert node.texts(key, f"chat&position={first}") == ["waited", "after"]
        assert target.command("EXISTS", f"cometify:{{{key}}}:state") == 1


def test_push_to_a_slot_that_is_long_on_its_way_is_refused_whole(cluster, nodes):
    key, target = KEYS[1], cluster.masters[1]
    with joining(nodes[0], key) as here:
        source = cluster.begin_to_move(key, target)
        refused = [nodes[0].push("chat", "first", key=key)]
        assert cluster.move_keys(key, source, target, 3) == 3, "some keys are at both"
        refused += [nodes[number].push("chat", "refused", key=key) for number in (0, 1)]
        for answer in refused:
            assert (answer.status, answer.json["code"]) == (503, "engine_unavailable")
            assert "nothing was pushed" in answer.json["detail"]
        while cluster.move_keys(key, source, target):
            pass
        cluster.end_move(key, source, target)
        eventually(lambda: nodes[0].push("chat", "after", key=key).status == 200)
        assert heard(here, 1) == ["after"]


def test_slot_without_its_keys_is_told_as_a_gap(cluster, nodes):
    key, target = KEYS[2], cluster.masters[1]
    with joining(nodes[0], key) as here:
        assert nodes[1].push("chat", "before", key=key).status == 200
        assert heard(here, 1) == ["before"]
        source = cluster.begin_to_move(key, target)
        cluster.delete_keys(key, source)
        cluster.end_move(key, source, target)
        assert heard(here, 1) == ["gap"]
        eventually(lambda: nodes[1].push("chat", "after", key=key).status == 200)
        assert heard(here, 1) == ["after"]


def test_usage_of_all_accounts_is_told_by_all_nodes(nodes):
    bearer = {"Authorization": f"Bearer {API_SECRET}"}

    def pushes(key: str) -> list[int]:
        return [node.request("GET", f"/{key}/usage", headers=bearer).json["days"][0]["pushes"] for node in nodes]

    for key in KEYS:
        assert [nodes[0].push("chat", "counted", key=key).status for _ in range(3)] == [200] * 3
    for key in KEYS:
        eventually(lambda key=key: min(pushes(key)) >= 3)


def test_frozen_master_that_thaws_as_a_replica_is_not_heard(cluster, nodes):
    key, old = KEYS[0], cluster.master_of(KEYS[0])
    replica = cluster.replica_of(old)
    with joining(nodes[0], key) as here, joining(nodes[1], key) as there:
        assert nodes[0].push("chat", "before", key=key).status == 200
        eventually(lambda: replica.has_all_of(old))
        old.send_signal(signal.SIGSTOP)
        try:
            unanswered = nodes[0].push("chat", "unanswered", key=key)
            assert (unanswered.status, unanswered.json["code"]) == (503, "engine_unavailable")
            cluster.wait_for_another(key, old)
            eventually(lambda: nodes[1].push("chat", "after", key=key).status == 200)
            assert heard(here, 2) == heard(there, 2) == ["before", "after"]
        finally:
            old.send_signal(signal.SIGCONT)
        cluster.wait_until_well()
        # It has run the push and the beats by now that were sent to it, and Redis has sent their messages to all of its shard.
        assert nodes[0].push("chat", "last", key=key).status == 200
        assert heard(here, 1) == heard(there, 1) == ["last"]


def test_replica_that_takes_over_goes_on_without_a_gap(cluster, nodes):
    (key, _, other), old = KEYS, cluster.master_of(KEYS[0])
    replica = cluster.replica_of(old)
    with joining(nodes[0], key) as here, joining(nodes[1], key) as there:
        first = nodes[0].push("chat", "before", key=key).json["position"]
        eventually(lambda: replica.has_all_of(old))
        old.end()
        refused = nodes[0].push("chat", "refused", key=key)
        assert (refused.status, refused.json["code"]) == (503, "engine_unavailable")
        assert nodes[0].push("chat", "elsewhere", key=other).status == 200

        began = time.monotonic()
        eventually(lambda: nodes[0].push("chat", "after", key=key).status == 200)
        assert time.monotonic() - began < 15
        assert heard(here, 2) == heard(there, 2) == ["before", "after"]
        assert nodes[1].texts(key, f"chat&position={first}") == ["after"]
        for server in nodes:
            eventually(lambda server=server: server.metric("cometify_redis_up") == [1.0] * MASTERS)
