"""The trial of a new connection: whether this Redis can be used at all.

It is made before a session begins, so that `/health/ready` tells at once of a user that lacks a right, of a full memory, of a
replica, of a cluster and of keys of a newer version. Otherwise the first push would find out, or the first listener.
"""

from typing import cast

from txredisapi import RedisError, ResponseError

from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.scripts import CHECK

SCHEMA = 2
"""The layout of the keys in Redis that this version writes, described in lua/common.lua. A database without a number has
layout 1, which is read as an empty one."""
NAME = b"cometify:{.}"
"""The name under which check.lua keeps its keys. No API key has a dot."""


async def check(connection: RedisConnection, name: bytes = NAME) -> None:
    """Check that all that is needed can be done over this connection. Fails with `RedisError`.

    `name`: another name for the keys, because a node of a cluster has those of its own slots alone.
    """
    for _ in range(2):  # the first time the source is sent, and then the digest, which takes another right
        found = await connection.run(CHECK, name, SCHEMA)
    if found > SCHEMA:
        raise RedisError(
            f"its keys have layout {found}, and this version of Cometify knows no layout above {SCHEMA}. Run the newer version "
            "of Cometify on all nodes, or use another database of Redis"
        )


async def refuse_cluster(connection: RedisConnection) -> None:
    """Fail with `RedisError` if this is a node of a cluster, and the URL does not say so."""
    try:
        told = cast("list[object]", await connection.execute(b"HELLO"))
    except ResponseError:
        return  # a proxy, or a user without this right; the scripts will tell
    if dict(zip(told[::2], told[1::2], strict=False)).get(b"mode") == b"cluster":
        raise RedisError(
            "it is a node of a Redis Cluster, and has some of the accounts alone. Write redis+cluster:// instead of redis://, "
            "and rediss+cluster:// instead of rediss://"
        )
