"""The URL of a Redis, as an operator writes it. No error, repr or log contains a password."""

import re

import pytest

from cometify.config.redis_url import RedisURL, read_redis_url, read_redis_urls


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (6379, "must be a URL"),
        ("redis://[::1", "must be a URL"),
        ("redis://localhost?db", "must be a URL"),
        ("localhost:6379", "must be a URL"),
        ("http://localhost", "must be a URL"),
        ("redis://", "must have a host"),
        ("redis://:secret", "must have a host"),
        ("redis://localhost:99999", "the port must be a number up to 65535"),
        ("redis://localhost:secret", "the port must be a number up to 65535"),
        ("redis://localhost/secret", "the database must be a number"),
        ("redis://:a/secret@localhost", "must not have / ? or # before its @"),
        ("redis://:a#secret@localhost/0", "must not have / ? or # before its @"),
        ("redis+sentinel://:a?b=secret@localhost/0", "must not have / ? or # before its @"),
        ("redis://secret@localhost", "must have user:password@ or :password@"),
        ("redis://a,b", "must have one host"),
        ("redis://localhost?tls=1", "must not have the option tls"),
        ("redis+sentinel://localhost:26379", "must have the name that the Sentinels watch"),
        ("redis+unix://?db=1", "must have the path of the socket"),
        ("redis+cluster://a,b/1", "must not have a database, because a cluster"),
    ],
)
def test_wrong_url_is_refused_with_the_reason(url, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}") as error:
        read_redis_url(url)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "redis_url"),
    [
        ("redis://127.0.0.1", RedisURL((("127.0.0.1", 6379),))),
        ("redis://[::1]:7000/3", RedisURL((("::1", 7000),), database=3)),
        (
            "rediss://user:p%40ss@host?ca=ca.pem",
            RedisURL((("host", 6379),), tls=True, ca="ca.pem", username="user", password="p@ss"),
        ),
        ("redis+unix://:pass@/run/redis.sock?db=2", RedisURL(path="/run/redis.sock", password="pass", database=2)),
        ("rediss://host?ca=/run/me@host/ca.pem", RedisURL((("host", 6379),), tls=True, ca="/run/me@host/ca.pem")),
        ("redis+sentinel://a:1/my@master", RedisURL((("a", 1),), service="my@master")),
        (
            "redis+sentinel://[::1]/n?sentinel_password=x@",
            RedisURL((("::1", 26379),), service="n", sentinel_password="x@"),
        ),
        ("redis+cluster://a:1,b/0", RedisURL((("a", 1), ("b", 6379)), cluster=True)),
        ("rediss+cluster://:pass@a", RedisURL((("a", 6379),), cluster=True, tls=True, password="pass")),
        (
            "redis+sentinel://a:1,b/name?db=4&sentinel_password=x",
            RedisURL((("a", 1), ("b", 26379)), service="name", database=4, sentinel_password="x"),
        ),
    ],
)
def test_url_of_each_kind_is_parsed(url, redis_url):
    assert read_redis_url(url) == redis_url
    assert "pass" not in f"{redis_url}"
    assert "pass" not in repr(redis_url).replace("password", "")


def test_url_is_shown_without_its_passwords():
    assert str(read_redis_url("redis://:pass@a:1")) == "a:1"
    assert str(read_redis_url("redis+sentinel://:pass@a:1,b:2/name")) == "name of the Sentinels a:1,b:2"


def test_list_of_urls_is_the_first_with_the_others():
    found = read_redis_urls(["redis://:pass@a/1?name=x", "redis+sentinel://s/name", "redis+unix:///r?db=2"])
    assert [str(one) for one in found.all] == ["a:6379", "name of the Sentinels s:26379", "/r"]
    assert [one.spread_name for one in found.all] == ["x", "name of the Sentinels s:26379/0", "/r/2"]
    assert read_redis_urls(["redis://a"]) == read_redis_url("redis://a")


@pytest.mark.parametrize(
    ("urls", "reason"),
    [
        ([], "must have one URL at least"),
        (["redis://a", 5], "must be a URL"),
        (["redis://:secret@a", "redis://a:6379/0"], "must not have a:6379/0 twice"),
        (["redis://a?name=x", "redis://b?name=x"], "must not have x twice"),
        (["redis://a", "redis+cluster://:secret@b"], "must not have a cluster in a list"),
    ],
)
def test_wrong_list_is_refused_with_the_reason(urls, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}") as error:
        read_redis_urls(urls)
    assert "secret" not in str(error.value)
