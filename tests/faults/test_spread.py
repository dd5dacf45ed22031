"""Two Redis that share the accounts: what fails fails alone, and a change of the list is told as a gap."""

from collections.abc import Iterator
from typing import Any

import pytest

from cometify.engine.redis.spread import home_of
from tests.conftest import Redis, Server, assert_clean
from tests.faults.redis_commands import command
from tests.wire import API_KEY, API_SECRET, WebSocket, eventually

OTHER = next(key for key in ("site01", "site02", "site03", "site04") if home_of(key, "ab") != home_of(API_KEY, "ab"))

RECORD = "cometify:{.}:spread"


class ServerOfTwo(Server):
    """A server with a second account."""

    def write_config(self) -> None:
        super().write_config()
        with (self.folder / "cometify.toml").open("a") as file:
            file.write(f'[[account]]\napi_key = "{OTHER}"\napi_secret = "{API_SECRET}"\n')

    def texts(self, key: str, since: int) -> list[str]:
        """What a listener of `chat` gets at once: the texts of pushes, and the types of what tells of a loss."""
        frames = self.request("GET", f"/{key}/poll?identifiers=chat&position={since}").frames
        kinds = [frame.get("text") or frame["type"] for frame in frames if frame["type"] in ("push", "gap", "error")]
        return [str(kind) for kind in kinds]


@pytest.fixture
def two_redis(tmp_path) -> Iterator[dict[str, Redis]]:
    """A Redis for each of two accounts, by API key. Each has the name that gives it this account."""
    found = {}
    for key in (API_KEY, OTHER):
        found[key] = Redis(tmp_path / f"redis-{key}").start()
    yield found
    for redis in found.values():
        redis.stop()


@pytest.fixture
def start(tmp_path, two_redis) -> Iterator[Any]:
    """Start a server with the Redis of these accounts: `start(API_KEY, OTHER)`."""
    servers: list[Server] = []

    def begin(*keys: str) -> ServerOfTwo:
        urls = [f"{two_redis[key].url}?name={home_of(key, 'ab')}" for key in keys]
        folder = tmp_path / f"node{len(servers)}"
        folder.mkdir()
        options = {"redis": urls if len(urls) > 1 else urls[0], "heartbeat": 1, "drain": 0}
        server = ServerOfTwo(folder, options, {})
        servers.append(server)
        server.start()
        return server

    yield begin
    for server in servers:
        if server.process is not None:
            server.stop()
        assert_clean(server.log.read_text())


def joining(server: Server, key: str) -> WebSocket:
    return WebSocket(server.port, f"/{key}/websocket?identifiers=chat")


def keys_of(redis: Redis) -> set[str]:
    return {key for key in (API_KEY, OTHER) if command(redis, "EXISTS", f"cometify:{{{key}}}:state") == ":1"}


def up(server: Server) -> list[float]:
    lines = server.request("GET", "/metrics", port=server.admin_port).body.decode().splitlines()
    return sorted(float(line.split()[-1]) for line in lines if line.startswith('cometify_redis_up{redis="127.0.0.1:'))


def reason(server: Server) -> tuple[int, str]:
    answer = server.request("GET", "/health/ready", port=server.admin_port)
    return answer.status, answer.json.get("reason", "")


def test_redis_that_is_away_stops_its_accounts_alone(start, two_redis):
    server, other = start(API_KEY, OTHER), start(API_KEY, OTHER)
    with joining(server, API_KEY) as here, joining(other, OTHER) as there:
        for listener in (here, there):
            listener.joined()
        assert other.push("chat", "1").status == server.push("chat", "2", key=OTHER).status == 200
        assert (here.texts(1), there.texts(1)) == (["1"], ["2"])
        assert [keys_of(redis) for redis in two_redis.values()] == [{API_KEY}, {OTHER}]
        assert (reason(server), up(server)) == ((200, ""), [1.0, 1.0])

        two_redis[OTHER].stop()
        eventually(lambda: up(server) == up(other) == [0.0, 1.0])
        assert reason(server) == (200, "redis_partly_away")
        refused = server.push("chat", "3", key=OTHER)
        assert (refused.status, refused.json["code"]) == (503, "engine_unavailable")
        assert other.push("chat", "4").status == 200
        assert here.texts(1) == ["4"]

        two_redis[OTHER].start()
        eventually(lambda: up(server) == up(other) == [1.0, 1.0])
        assert server.push("chat", "5", key=OTHER).status == 200
        assert there.texts(1) == ["5"]

        for redis in two_redis.values():
            redis.stop()
        eventually(lambda: reason(server) == (503, "engine_unavailable"))


def test_change_of_the_list_is_told_as_a_gap(start, two_redis):
    server = start(API_KEY, OTHER)
    since = {key: server.push("chat", "1", key=key).json["position"] for key in two_redis}
    assert server.push("chat", "2", key=OTHER).status == 200
    assert server.texts(OTHER, since[OTHER]) == ["2"]
    server.stop()

    server = start(API_KEY)
    assert server.texts(OTHER, since[OTHER]) == ["gap"], "it has moved"
    later = server.push("chat", "3", key=OTHER).json["position"]
    assert server.push("chat", "4").status == 200
    server.stop()

    command(two_redis[API_KEY], "SET", RECORD, "a\nb\nc")  # a list that had another one
    command(two_redis[OTHER], "DEL", RECORD)  # it was out of the list for more than a minute
    server = start(API_KEY, OTHER)
    for redis in two_redis.values():
        eventually(lambda redis=redis: command(redis, "GET", RECORD) == "a\nb")
    assert server.texts(OTHER, later) == ["gap"], "its old memory is not taken for what was pushed elsewhere"
    assert server.texts(API_KEY, since[API_KEY]) == ["4"], "it has not moved"
    assert keys_of(two_redis[API_KEY]) == {API_KEY}

    command(two_redis[OTHER], "SET", RECORD, "a\nb\nc")  # as another node does that has another list
    eventually(lambda: "another node uses another list of Redis" in server.log.read_text())
