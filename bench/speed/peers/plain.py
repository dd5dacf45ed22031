"""Autobahn and Twisted as they come: python plain.py PORT PUBLISH_PORT.

Every WebSocket on PORT listens; a POST to PUBLISH_PORT sends its body to all.
"""

import sys

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

listeners: set["Listener"] = set()


class Listener(WebSocketServerProtocol):
    """One listener."""

    def onOpen(self) -> None:
        listeners.add(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        listeners.discard(self)


class Publish(Resource):
    """Send the body of each POST to all listeners."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        body = request.content.read()
        for listener in listeners:
            listener.sendMessage(body)
        return b"ok"


def main(port: int, publish_port: int) -> None:
    """Serve until the process is ended."""
    factory = WebSocketServerFactory()
    factory.protocol = Listener
    reactor.listenTCP(port, factory, backlog=4096, interface="127.0.0.1")
    reactor.listenTCP(publish_port, Site(Publish()), backlog=4096, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
