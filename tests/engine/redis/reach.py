"""A program that pushes to the Redis of each URL on its command line.

Prints a JSON array for each: the URL, the answer to the push (or the reason why there was none), and the URL as a log
shows it.
"""

import json
import sys
from typing import Any

from twisted.internet import defer, reactor, task

from cometify.config.redis_url import read_redis_url
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.scripts import APPEND


async def reach(url: str) -> tuple[str, str, str]:
    redis_url = read_redis_url(url)
    try:
        connections = await Connector(reactor, redis_url).connect(2)
    except Exception as error:  # noqa: BLE001 - every reason is printed
        return url, f"{type(error).__name__}: {error}", str(redis_url)
    for connection in connections:
        if redis_url.path is None and not connection.transport.getTcpNoDelay():
            return url, "the kernel may hold commands back", str(redis_url)
    heard: Any = defer.Deferred()
    connections[1].heard = lambda channel, text: heard.callback((channel, text)) if not heard.called else None
    await connections[1].subscribe([b"cometify:{1}:chat"])
    arguments = [0, 0, 10, 1000, 1000, "cometify:", 0, 0, 0, 1, 1000, 1000, "chat", b"0 - head:", ""]
    answer = await connections[0].run(APPEND, b"cometify:{1}", *arguments)
    channel, _text = await heard
    for connection in connections:
        connection.abort("done")
    return url, f"{len(answer)} {channel.decode()}", str(redis_url)


async def main(_reactor: Any) -> None:
    results = await defer.gatherResults([defer.ensureDeferred(reach(url)) for url in sys.argv[1:]])
    for result in results:
        print(json.dumps(result))


task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
