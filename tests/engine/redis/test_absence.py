"""An absence of Redis is told with its reason, the reasons that follow it, and its end. A busy process does not blame Redis."""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.logger import formatEvent, globalLogPublisher

from cometify.core.account import Account
from cometify.engine.redis.session import MOST_PATIENCE
from tests.contract.support import by_query
from tests.memory import World
from tests.redis import RedisConnection, RedisServer
from tests.wire import API_KEY, API_SECRET


@pytest.fixture
def world(own_redis: RedisServer) -> World:
    return World(Account(API_KEY, (API_SECRET,)))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log about Redis."""
    lines: list[str] = []

    def observe(event):
        text = formatEvent(event)
        if text.startswith("Redis ("):
            lines.append(text)

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def cut(world: World) -> None:
    for transport in list(world.reactor.transports):
        transport.lose()
    world.settle()


def seen(world: World) -> dict[str, Any]:
    """Redis as the console shows it."""
    (process,) = world.admin("GET", "/console/processes?own=").json["processes"]
    told: dict[str, Any] = process["redis"]
    return told


def figures(world: World, name: str) -> dict[str, float]:
    """The values of a metric by the values of its labels."""
    text = world.admin("GET", "/metrics").body.decode()
    return {
        " ".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"cometify_{name}"
    }


def ready(world: World) -> object:
    answer = world.admin("GET", "/health/ready")
    return answer.json.get("reason", answer.status)


def test_later_reason_is_told_in_the_words_of_redis(world, own_redis, lines):
    with RedisConnection(own_redis.path) as operator:
        operator.command("CONFIG", "SET", "requirepass", "rotated")
        cut(world)
        world.advance(59, step=0.5)
        assert len(lines) == 2
        assert "is away: the connection was lost" in lines[0]
        assert re.search(r"still away after \d+ s and \d+ tries: NOAUTH Authentication required", lines[1])
        world.advance(3, step=0.5)
        assert len(lines) == 3
        assert re.search(r"still away after 6\d s and \d\d+ tries: NOAUTH", lines[2])
        operator.command("CONFIG", "SET", "requirepass", "")
        world.advance(5, step=0.5)
    assert re.search(r"is there again after 6\d\.\d s$", lines[3])
    assert len(lines) == 4


def test_refused_subscriptions_are_told_in_the_words_of_redis(world, own_redis, lines):
    by_query(world, "websocket", "identifiers=chat")
    allowed = (
        "&cometify:*:node:*",
        "&cometify:*:nodes",
        "&cometify:*:joined",
        "&cometify:*:staying",
        "&cometify:*{.}*",
    )
    with RedisConnection(own_redis.path) as operator:
        operator.command("ACL", "SETUSER", "default", "resetchannels", *allowed)
        cut(world)
        world.advance(3, step=0.5)
        operator.command("ACL", "SETUSER", "default", "allchannels")
    assert "NOPERM" in lines[1]
    assert not [line for line in lines if "Failure" in line or "\n" in line], lines


def test_gauges_and_losses_tell_an_absence(world, own_redis):
    assert (figures(world, "ready"), figures(world, "redis_up")) == ({"": 1}, {"": 1})
    before = figures(world, "redis_losses_total")
    assert set(before) == {"closed", "no_answer", "silent", "error", "missed", "nonsense"}
    assert not any(before.values())
    own_redis.stop()
    world.settle()
    world.advance(5, step=0.5)
    assert (figures(world, "ready"), figures(world, "redis_up")) == ({"": 0}, {"": 0})
    assert figures(world, "redis_losses_total") == {**before, "closed": 1}, "an attempt that fails is no further loss"


def test_full_redis_is_one_absence_and_not_one_for_each_push(world, own_redis, lines):
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    assert world.push("chat", "one").status == 503
    for number in range(10):
        world.advance(1, step=0.5)
        assert world.push("chat", f"again {number}").status == 503
        assert ready(world) == "engine_unavailable"
    assert len(lines) == 1
    assert "OOM command not allowed" in lines[0]
    told = seen(world)
    assert told["up"] is False
    assert told["reason"].startswith("OOM command not allowed")
    assert figures(world, "redis_losses_total")["error"] == 1
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    world.advance(5, step=0.5)
    assert ready(world) == 200
    assert (seen(world)["up"], seen(world)["reason"]) == (True, None)
    assert world.push("chat", "two").status == 200


@pytest.mark.parametrize("step", [0.25, 2.0], ids=["reads are late", "a turn is long"])
def test_busy_process_does_not_blame_redis(world, lines, step):
    world.reactor.is_busy = True  # as when tens of thousands of connections end at once
    body = world.request("GET", f"/{API_KEY}/position")
    for _ in range(round(4 / step)):
        world.reactor.advance(step)
    assert not body.answered
    world.reactor.is_busy = False
    world.settle()
    assert body.answer().status == 200
    assert lines == []
    assert ready(world) == 200


def test_redis_that_answers_nothing_is_lost_however_busy_the_process(world, lines):
    world.reactor.is_busy = True
    for _ in range(round((MOST_PATIENCE + 4) / 0.25)):
        world.reactor.advance(0.25)
    assert "no answer within 1.5 seconds" in lines[0]


def test_silence_counts_again_once_the_process_is_at_rest(world, own_redis, lines):
    world.reactor.is_busy = True
    for _ in range(8):
        world.reactor.advance(0.25)
    world.reactor.is_busy = False
    world.advance(5, step=0.25)
    assert lines == []
    world.reactor.is_silent = True  # Redis is frozen, and the process reads everything else in time
    for _ in range(12):
        world.reactor.advance(0.25)
        world.reactor.pump()
    assert len(lines) == 1


def test_slow_redis_is_told_though_it_is_not_away(world, lines):
    world.advance(0.15)
    for _ in range(35):
        world.advance(0.75, step=0.25)
        world.reactor.is_silent = True  # replies come an eighth of a second late, and all else is read in time
        for _ in range(2):
            world.reactor.advance(0.125)
            world.reactor.pump()
        world.reactor.is_silent = False
        world.settle()
    assert len(lines) == 1
    assert "is slow, or the network to it: half of" in lines[0]
    assert ready(world) == 200


def test_check_runs_every_command_of_the_scripts():
    folder = files("cometify.engine.redis") / "lua"
    scripts = {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".lua")}
    checked = set(re.findall(r"(?:\{|call\()'([A-Z]+)'", scripts.pop("check.lua"))) | {"TIME"}  # as in common.lua
    used = {name for source in scripts.values() for name in re.findall(r"call\('([A-Z]+)'", source)}
    assert used - checked == set()
    assert "HSET" in used


# The memory of Redis.


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """The lines of the log that warn of the memory of Redis."""
    found: list[str] = []

    def observe(event):
        text = formatEvent(event)
        if text.startswith(("Redis (", "Redis does not tell")) and ("can lose" in text or "tell" in text):
            found.append(text)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_redis_that_evicts_or_is_nearly_full_is_warned_of(world, own_redis, warnings):
    for number in range(200):  # so that the bytes of connections do not matter
        own_redis.command("SET", f"filler {number}", "x" * 100_000)
    world.advance(31)
    assert figures(world, "redis_evicts") == {"": 0}
    assert warnings == []
    used = figures(world, "redis_memory_used_bytes")[""]
    assert used > 20_000_000
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    own_redis.command("CONFIG", "SET", "maxmemory", str(round(used / 0.9)))
    world.advance(31)
    assert figures(world, "redis_evicts") == {"": 1}
    assert seen(world)["policy"] == "allkeys-lru"
    assert figures(world, "redis_memory_max_bytes") == {"": round(used / 0.9)}
    assert len(warnings) == 2
    assert f"Redis ({own_redis.path}) can lose or refuse pushes: its maxmemory-policy is allkeys-lru" in warnings[0]
    assert re.search(r"it uses (8|9)\d% of its maxmemory", warnings[1])
    world.advance(500)
    assert len(warnings) == 2


def test_redis_whose_user_has_no_info_says_so_once_in_debug(own_redis, warnings):
    own_redis.command("ACL", "SETUSER", "default", "-info")
    world = World(Account(API_KEY, (API_SECRET,)))
    world.advance(100)
    assert len(warnings) == 1
    assert "does not tell its memory" in warnings[0]
    assert figures(world, "redis_memory_used_bytes") == {}
    assert ready(world) == 200
