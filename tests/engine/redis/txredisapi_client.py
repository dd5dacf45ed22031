"""A program that sends the same commands by txredisapi's client and by ours, and prints the replies of both.

Its argument is the path of Redis's Unix socket. It is a process of its own because txredisapi uses the reactor that it
imported. The commands and their arguments are those on which a client can go wrong: digits, empty and binary texts, line
ends, deep lists, errors.
"""

import json
import sys
from typing import Any

import txredisapi
from twisted.internet import defer, reactor, task

from cometify.config.redis_url import RedisURL
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.connector import Connector

TEXTS = [b"007", b"-1", b"1e5", b"1.5", b"+OK", b"", b" ", b"\r\n", b"\r\n$-1\r\n", bytes(range(256)), b"x" * 100_000]
COMMANDS: list[tuple[Any, ...]] = [
    ("PING",),
    *[("SET", f"key{number}", text) for number, text in enumerate(TEXTS)],
    *[("GET", f"key{number}") for number in range(len(TEXTS) + 1)],
    *[("ECHO", text) for text in TEXTS],
    ("MGET", "key0", "none", "key5"),
    ("HSET", "hash", "field", 7),
    ("HGETALL", "hash"),
    ("EVAL", "return {1, {'007', {}, {{false}}}, redis.status_reply('QUEUED')}", 0),
    ("EVAL", "return redis.error_reply('OUCH it hurts')", 0),
    ("GET", "hash"),
    ("NONSENSE",),
    ("SET", "é", "ü"),
    ("GET", "é"),
]


def shown(reply: Any) -> Any:
    if isinstance(reply, Exception):
        return [type(reply).__name__, str(reply)]
    if isinstance(reply, list):
        return [shown(item) for item in reply]
    return reply.hex() if isinstance(reply, bytes) else reply


async def replies(execute: Any) -> list[Any]:
    # All at once, so that many replies are read in one go.
    results = await defer.DeferredList([execute(*command) for command in COMMANDS], consumeErrors=True)
    return [shown(result if success else result.value) for success, result in results]


async def main(path: str) -> None:
    theirs = await txredisapi.UnixConnection(path, charset=None, convertNumbers=False, reconnect=False)
    ours: RedisConnection
    (ours,) = await Connector(reactor, RedisURL(path=path)).connect(1)  # type: ignore[arg-type] # the reactor is a module
    await theirs.execute_command("FLUSHALL")
    print(json.dumps(await replies(theirs.execute_command)))
    await ours.execute("FLUSHALL")
    print(json.dumps(await replies(ours.execute)))
    ours.abort("done")
    await theirs.disconnect()


task.react(lambda _reactor: defer.ensureDeferred(main(sys.argv[1])))
