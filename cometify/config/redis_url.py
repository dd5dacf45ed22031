"""The URL of a Redis, or of several, as an operator writes them: `redis = "redis://…"`."""

from collections.abc import Callable
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import attrs

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

SCHEMES = (
    "redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
FORMS = (
    '"redis://127.0.0.1:6379/0", "rediss://user:password@host/0" (TLS), "redis+unix:///run/redis.sock?db=0", '
    '"redis+sentinel://host:26379,host:26379/name?db=0" or "redis+cluster://host:6379,host:6379"'
)


@attrs.frozen
class RedisURL:
    """A parsed URL.

    `hosts`: (name, port) of the Redis; of its Sentinels if there is a `service`, the name by which they know the primary; of
    nodes of a cluster if it is a `cluster`. `path`: the Unix socket, instead of `hosts`. `ca`: a file of certificates that TLS
    is verified by, None for those of the system. `name`: the name by which accounts are spread, if it is not the place.
    `others`: those that keep accounts beside this one. `url`: the URL as it was written, with its passwords.
    """

    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str | None = None
    cluster: bool = False
    tls: bool = False
    ca: str | None = None
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    sentinel_password: str | None = attrs.field(default=None, repr=False)
    database: int = 0
    name: str | None = None
    others: tuple["RedisURL", ...] = ()
    url: str = attrs.field(default="", repr=False, eq=False)

    def __str__(self) -> str:
        """The place of this Redis for a log, without passwords."""
        where = self.path or ",".join([f"{name}:{port}" for name, port in self.hosts])
        return f"{self.service} of the Sentinels {where}" if self.service else where

    @property
    def all(self) -> tuple["RedisURL", ...]:
        """All Redis of the list, the first one first."""
        return (self, *self.others)

    @property
    def spread_name(self) -> str:
        """The name by which accounts are spread: see `engine/redis/spread.py`."""
        return self.name or f"{self}/{self.database}"


def read_redis_urls(value: object, read: Callable[[object], RedisURL] | None = None) -> RedisURL:
    """Read one URL, or a list of URLs. `read`: reads one. Raises `ValueError` with the reason, which has no password."""
    read = read or read_redis_url
    if not isinstance(value, list):
        return read(value)
    if not value:
        raise ValueError("must have one URL at least")
    first, *others = map(read, value)
    if others and any(one.cluster for one in (first, *others)):
        raise ValueError(
            "must not have a cluster in a list, because a cluster shares all accounts among its masters itself"
        )
    names = [one.spread_name for one in (first, *others)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"must not have {twice} twice, because each Redis keeps other accounts")
    return attrs.evolve(first, others=tuple(others))


def read_redis_url(text: object) -> RedisURL:
    """Parse a URL. Raises `ValueError` with the reason, which never contains a password."""
    if not isinstance(text, str):
        raise ValueError(f"must be a URL: {FORMS}")  # noqa: TRY004 - settings report ValueErrors alone
    try:
        url = urlsplit(text)
        options = {name: values[-1] for name, values in parse_qs(url.query, strict_parsing=bool(url.query)).items()}
    except ValueError:
        raise ValueError(f"must be a URL: {FORMS}") from None
    if url.scheme not in SCHEMES:
        raise ValueError(f"must be a URL: {FORMS}")
    if _has_cut_password(url):
        raise ValueError("must not have / ? or # before its @: in a password write %2F, %3F and %23, and %40 for @")
    unknown = sorted(options.keys() - {"db", "ca", "sentinel_password", "name"})
    if unknown:
        raise ValueError(f"must not have the option {unknown[0]}: the options are db, ca, sentinel_password and name")
    username, password = _credentials(url)
    path, service, database = _split_path(url, options.get("db"))
    is_cluster = url.scheme.endswith("+cluster")
    if is_cluster and database:
        raise ValueError("must not have a database, because a cluster has number 0 alone")
    return RedisURL(
        hosts=() if path else _hosts(url, DEFAULT_SENTINEL_PORT if service else DEFAULT_PORT),
        path=path,
        service=service,
        cluster=is_cluster,
        tls=url.scheme.startswith("rediss"),
        ca=options.get("ca"),
        username=username,
        password=password,
        sentinel_password=options.get("sentinel_password"),
        database=database,
        name=options.get("name"),
        url=text,
    )


def _has_cut_password(url: SplitResult) -> bool:
    """True if a password contains / ? or #.

    To a parser these end the host. The rest of the password would then be taken for a path, and told in an error.
    """
    has_at_later = "@" in url.path + url.query + url.fragment
    last = url.netloc.rpartition(":")[2]
    return has_at_later and "@" not in url.netloc and ":" in url.netloc and not (last.isdigit() or last.endswith("]"))


def _credentials(url: SplitResult) -> tuple[str | None, str | None]:
    given, at, _hosts = url.netloc.rpartition("@")
    if not at:
        return None, None
    username, colon, password = given.partition(":")
    if not colon:
        raise ValueError("must have user:password@ or :password@ before the host")
    return unquote(username) or None, unquote(password)


def _split_path(url: SplitResult, db: str | None) -> tuple[str | None, str | None, int]:
    """The path of the Unix socket or None, the name that the Sentinels know or None, the database."""
    path = service = None
    rest = unquote(url.path)
    if url.scheme == "redis+unix":
        path = rest
        if not path:
            raise ValueError("must have the path of the socket: redis+unix:///run/redis.sock")
    elif url.scheme.endswith("+sentinel"):
        service = rest.strip("/")
        if not service or "/" in service:
            raise ValueError("must have the name that the Sentinels watch: redis+sentinel://host:26379/name")
    else:
        db = rest.strip("/") or db
    if db is not None and not (db.isascii() and db.isdigit()):
        raise ValueError(f"the database must be a number: {FORMS}")
    return path, service, int(db or 0)


def _hosts(url: SplitResult, port: int) -> tuple[tuple[str, int], ...]:
    netloc = url.netloc.rpartition("@")[2]
    hosts = tuple([_host(part, port) for part in netloc.split(",")])
    if len(hosts) > 1 and not url.scheme.endswith(("+sentinel", "+cluster")):
        raise ValueError("must have one host: several hosts are for redis+sentinel:// and redis+cluster:// alone")
    return hosts


def _host(text: str, port: int) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    if not one.hostname:
        raise ValueError("must have a host: write host or host:port")
    try:
        return one.hostname, one.port or port
    except ValueError:
        raise ValueError("the port must be a number up to 65535") from None
