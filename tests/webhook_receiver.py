"""The receiver of a webhook, for worlds without a network: reads what arrives over the reactor's connections, and answers."""

import json
from typing import Any

import attrs
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.memory import World

URL = "http://10.9.8.7:8000/hook?from=cometify"
ADDRESS = ("10.9.8.7", 8000)


class _Transport(StringTransport):
    """Tells its protocol of the end, whoever closes."""

    protocol: Any = None
    lingers = False
    """The receiver does not close its side, for which TLS waits."""

    def loseConnection(self) -> None:
        if not self.lingers:
            self.abortConnection()

    def abortConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.protocol.connectionLost(Failure(error.ConnectionDone()))


@attrs.frozen
class Request:
    """A request that has arrived. `headers`: by their names in lower case."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        return json.loads(self.body)


class Receiver:
    """Answers the requests of these worlds with `answer`, which is a whole response. None: never. Empty: not reachable.

    `answers`: those for some targets.
    """

    def __init__(self, *worlds: World, answer: bytes | None = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -> None:
        self.worlds = worlds
        self.answer = answer
        self.answers: dict[str, bytes | None] = {}
        self.lingers = False
        self.requests: list[Request] = []
        self.connected: list[tuple[str, int]] = []
        self.open: list[_Transport] = []
        self._seen = dict.fromkeys(worlds, 0)

    def run(self, seconds: float, step: float = 0.5) -> list[dict[str, Any]]:
        """Let time pass. Returns the events of the requests that came meanwhile."""
        before = len(self.requests)
        self.pump()
        while seconds > 0:
            for world in self.worlds:
                world.reactor.advance(min(step, seconds))
            self.pump()
            seconds -= step
        return [event for request in self.requests[before:] for event in request.events]

    def pump(self) -> None:
        """Accept connections and answer requests until nothing new comes."""
        busy = True
        while busy:
            for world in self.worlds:
                world.settle()
            busy = sum(map(self._accept, self.worlds)) > 0

    def _accept(self, world: World) -> bool:
        clients = world.reactor.tcpClients[self._seen[world] :]
        self._seen[world] += len(clients)
        for host, port, factory, *_rest in clients:
            self.connected.append((host, port))
            if self.answer == b"":
                factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError()))
                continue
            transport = _Transport(peerAddress=IPv4Address("TCP", host, port))
            transport.lingers = self.lingers
            transport.protocol = factory.buildProtocol(None)
            self.open.append(transport)
            transport.protocol.makeConnection(transport)
            self.read(transport)
        return bool(clients)

    def read(self, transport: _Transport) -> None:
        """Read the request of a connection, and answer it."""
        head, _, body = transport.value().partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(body) == int(headers["content-length"])
        self.requests.append(Request(first.split(" ")[1], headers, body))
        answer = self.answers.get(self.requests[-1].target, self.answer)
        if answer is not None:
            transport.protocol.dataReceived(answer)

    @property
    def connections(self) -> int:
        """The connections that are open."""
        return sum(not transport.disconnecting for transport in self.open)
