"""Reach the Redis of each URL that is given, and say how that went: one line each, a JSON array of URL, what it answered to
a push (or the reason why there was none) and how the URL is written in a log.
"""

import json
import sys
from typing import Any

from twisted.internet import defer, reactor, task

from cometify.config.redis_url import read_redis_url
from cometify.engine.redis.connector import Connector
from cometify.engine.redis.scripts import APPEND


async def reach(url: str) -> tuple[str, str, str]:
    location = read_redis_url(url)
    try:
        connections = await Connector(reactor, location).connect(2)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        return url, f"{type(error).__name__}: {error}", str(location)
    heard: Any = defer.Deferred()
    connections[1].heard = lambda channel, text: heard.callback((channel, text)) if not heard.called else None
    await connections[1].subscribe([b"channel"])
    arguments = ["chat", b"head:", 0, "-", 0, 0, 10, 1000, 1000, "channel", "", "chat", 0, "", "", 0, "", ""]
    answer = await connections[0].run(APPEND, b"cometify:{1}", *arguments)
    channel, _text = await heard
    for connection in connections:
        connection.abort("done")
    return url, f"{answer[0].decode()} {channel.decode()}", str(location)


async def main(_reactor: Any) -> None:
    results = await defer.gatherResults([defer.ensureDeferred(reach(url)) for url in sys.argv[1:]])
    for result in results:
        print(json.dumps(result))


task.react(lambda reactor: defer.ensureDeferred(main(reactor)))
