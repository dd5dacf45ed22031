"""Accounts in Redis: what is announced, what was missed, and a Redis that is away or empty."""

from collections.abc import Iterator

import pytest
from twisted.logger import capturedLogs, formatEvent

from cometify.accounts.redis_store import NAME
from cometify.config.redis_url import RedisURL
from cometify.core.errors import Refused
from tests.accounts.nodes import Node
from tests.redis import RedisServer


@pytest.fixture
def own_redis(tmp_path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def nodes(own_redis) -> Iterator[tuple[Node, Node]]:
    pair = Node(RedisURL(path=own_redis.path)), Node(RedisURL(path=own_redis.path))
    for one in pair:
        one.look()
    yield pair
    for one in pair:
        one.stop()


def test_change_is_announced_to_all_nodes(nodes):
    one, two = nodes
    one.put("shop")
    seconds = two.reactor.seconds()
    for _ in range(5):
        two.reactor.advance(0)
        two.reactor.pump()
    assert two.accounts.get("shop") is not None
    assert two.reactor.seconds() == seconds


def test_change_that_was_not_announced_is_found(nodes, own_redis):
    one, two = nodes
    own_redis.command("HSET", NAME, "shop", "{}")  # nobody is told
    own_redis.command("HDEL", NAME, "shop")
    for transport in list(two.reactor.transports):
        transport.lose()
    one.put("shop")
    two.until(lambda: two.accounts.get("shop") is not None)


def test_only_what_has_changed_is_read(nodes):
    one, two = nodes
    for number in range(50):
        one.put(f"site{number}", listeners=number + 1)
    two.look()
    before = sum(transport.received for transport in two.reactor.transports)
    one.put("site7", listeners=100)
    two.look()
    assert two.accounts.get("site7").listeners == 100
    assert sum(transport.received for transport in two.reactor.transports) - before < 1000


def test_redis_that_is_away_changes_nothing_and_is_told(nodes, own_redis):
    one, _two = nodes
    one.put("shop")
    with capturedLogs() as events:
        own_redis.stop()
        one.until(lambda: not one.follower.is_up)
        with pytest.raises(Refused, match="engine_unavailable"):
            one.put("blog")
    (line, *_rest) = map(formatEvent, events)
    assert line.startswith("Accounts cannot be read: Redis (")
    assert one.accounts.get("shop") is not None


def test_emptied_redis_drops_nobody(nodes, own_redis):
    one, two = nodes
    for number in range(5):
        one.put(f"site{number}")
    two.look()
    own_redis.command("FLUSHALL")
    with capturedLogs() as events:
        two.until(lambda: not two.follower.is_up)
    (line,) = [formatEvent(event) for event in events if "lacks 5 of 5 accounts" in formatEvent(event)]
    assert "restart this server to take it as it is" in line
    assert len(two.accounts) == 5
    again = Node(RedisURL(path=own_redis.path))
    again.look()
    assert (again.accounts.is_complete, len(again.accounts)) == (True, 0)
    again.stop()


@pytest.mark.parametrize("later", [0, 2], ids=["the same version", "a later version"])
def test_changes_that_a_failover_has_lost_are_taken_back(nodes, own_redis, later):
    one, two = nodes
    one.put("shop", listeners=1)
    keys = [NAME, *(NAME + part for part in (b":state", b":changes", b":marks"))]
    replica = [own_redis.command("DUMP", key) for key in keys]
    one.put("shop", listeners=2)  # the replica does not get this change
    two.look()
    for key, dump in zip(keys, replica, strict=True):
        own_redis.command("RESTORE", key, 0, dump, "REPLACE")
    third = Node(RedisURL(path=own_redis.path))
    third.look()
    for number in range(later + 1):
        third.put("blog", listeners=number + 1)
    for node in (one, two, third):
        node.look()
        found = [(key, node.accounts.get(key).listeners) for key in ("shop", "blog")]
        assert found == [("shop", 1), ("blog", later + 1)]
        assert node.follower.is_up
    third.stop()


def test_store_of_an_older_version_is_followed(nodes, own_redis):
    one, two = nodes
    one.put("shop", listeners=1)
    own_redis.command("DEL", NAME + b":marks")  # an older version writes none
    own_redis.command("HDEL", NAME + b":state", "mark")
    two.look()
    for number in range(3):
        one.put("shop", listeners=number + 2)
        two.look()
        assert two.accounts.get("shop").listeners == number + 2


def test_reader_that_is_far_behind_reads_everything(nodes, own_redis):
    one, two = nodes
    one.put("shop")
    two.look()
    own_redis.command("HSET", NAME + b":state", "floor", "1000", "version", "1001")
    one.put("blog")
    two.look()
    assert sorted(account.api_key for account in two.accounts) == ["blog", "shop"]


def test_start_without_redis_knows_nobody_and_says_so(own_redis):
    own_redis.stop()
    node = Node(RedisURL(path=own_redis.path))
    with pytest.raises(Refused, match="engine_unavailable"):
        node.accounts.find("shop")
    own_redis.start()
    node.until(lambda: node.accounts.is_complete)
    assert node.accounts.find("shop") is None
    node.stop()
