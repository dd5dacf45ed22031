"""Where a Redis is, as an operator writes it; never a password in what is said."""

import re

import pytest

from cometify.config.redis_url import RedisURL, read_redis_url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (6379, "must be a URL"),
        ("redis://[::1", "must be a URL"),
        ("redis://localhost?db", "must be a URL"),
        ("localhost:6379", "must be a URL"),
        ("http://localhost", "must be a URL"),
        ("redis://", "names no host"),
        ("redis://:secret", "names no host"),
        ("redis://localhost:99999", "names a port that is no number up to 65535"),
        ("redis://localhost:secret", "names a port that is no number up to 65535"),
        ("redis://localhost/secret", "names a database that is no number"),
        ("redis://:a/secret@localhost", "has a / ? or # before its @"),
        ("redis://:a#secret@localhost/0", "has a / ? or # before its @"),
        ("redis+sentinel://:a?b=secret@localhost/0", "has a / ? or # before its @"),
        ("redis://secret@localhost", "needs user:password@ or :password@"),
        ("redis://a,b", "names several hosts"),
        ("redis://localhost?tls=1", "knows no option tls"),
        ("redis+sentinel://localhost:26379", "needs the name that the Sentinels watch"),
        ("redis+unix://?db=1", "needs the path of the socket"),
    ],
)
def test_what_is_no_location_is_refused_with_the_reason(url, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}") as error:
        read_redis_url(url)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "location"),
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
        (
            "redis+sentinel://a:1,b/name?db=4&sentinel_password=x",
            RedisURL((("a", 1), ("b", 26379)), service="name", database=4, sentinel_password="x"),
        ),
    ],
)
def test_where_redis_is_can_be_written_in_these_ways(url, location):
    assert read_redis_url(url) == location
    assert "pass" not in f"{location}"
    assert "pass" not in repr(location).replace("password", "")


def test_a_location_is_told_without_its_passwords():
    assert str(read_redis_url("redis://:pass@a:1")) == "a:1"
    assert str(read_redis_url("redis+sentinel://:pass@a:1,b:2/name")) == "name of the Sentinels a:1,b:2"
