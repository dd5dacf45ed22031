"""The four ways to listen, each as a source of frames with a limit on the time that a frame may take.

A source raises `Trouble` if its next frame does not come, or is a refusal.
"""

import json
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import urlencode

from twisted.internet import defer
from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from cometify.command.frames import Frame, read_frame
from cometify.command.group import Group
from cometify.command.requests import Answer, Requests
from cometify.command.server_url import ServerURL
from cometify.command.troubles import FAULT_OF_CODE, GATEWAYS, Trouble
from cometify.command.websocket_client import FrameSocket, open_websocket

_LONGEST_LINE = 1 << 20


class Source(ABC):
    """A listener of one group. `listener`: its id. `patience`: the seconds that each frame may take."""

    def __init__(
        self, server: ServerURL, group: Group, listener: str, requests: Requests, reactor: Any, patience: float
    ) -> None:
        self.server = server
        self.group = group
        self.listener = listener
        self.requests = requests
        self.reactor = reactor
        self.patience = patience
        self._items: DeferredQueue[Frame | Trouble] = DeferredQueue()

    @abstractmethod
    async def open(self) -> None:
        """Connect, without waiting for the first frame."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""

    @abstractmethod
    def silence(self) -> Trouble:
        """The trouble if no frame comes in time."""

    async def frame(self) -> Frame:
        """Return the next frame. Raises `Trouble`."""
        try:
            item = await self._items.get().addTimeout(self.patience, self.reactor)
        except defer.TimeoutError:
            raise self.silence() from None
        if isinstance(item, Trouble):
            self._items.put(item)  # for the next one that asks
            raise item
        if item["type"] == "error":
            raise Trouble(FAULT_OF_CODE.get(item["code"], "refused"), f"{item['detail']} ({item['code']})")
        if item["type"] == "reconnect":
            raise Trouble("draining", "The server is about to end.")
        self.group.take(item)
        return item

    def put(self, item: Frame | Trouble) -> None:
        """Add a frame, or the trouble that ended the source."""
        self._items.put(item)

    def put_text(self, text: bytes) -> None:
        """Add a frame, or the trouble that something other than the server has answered."""
        self.put(read_frame(text) or Trouble("not_cometify", "The answer has a line that is none of Cometify's."))

    def listen_frame(self) -> bytes:
        """The frame that joins the group."""
        return json.dumps({"type": "listen", "listener": self.listener, "groups": [self.group.asked()]}).encode()


class WebSocketSource(Source):
    """A WebSocket, and the owner of its socket."""

    _socket: FrameSocket | None = None

    async def open(self) -> None:
        try:
            await open_websocket(self.server, self, self.reactor).addTimeout(self.patience, self.reactor)
        except Exception as error:  # noqa: BLE001 - a dozen kinds of errors mean that there is no connection
            raise Trouble("unreachable", f"No connection: {str(error) or type(error).__name__}") from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.sendClose(1000)

    def silence(self) -> Trouble:
        if self._socket is None:
            return Trouble("no_upgrade", f"The handshake is not answered within {self.patience:g} s.")
        return Trouble("silent", f"No frame came within {self.patience:g} s.")

    def opened(self, socket: FrameSocket) -> None:
        """See `websocket_client.Owner`."""
        self._socket = socket
        socket.sendMessage(self.listen_frame())

    def heard(self, text: str, frame: Frame) -> None:
        """See `websocket_client.Owner`."""
        self.put(frame)

    def closed(self, code: int | None, reason: str, status: int | None) -> None:
        """See `websocket_client.Owner`."""
        if status in GATEWAYS:
            self.put(Trouble("no_node", f"A proxy answers the handshake with {status}."))
        elif status is not None:
            self.put(Trouble("no_upgrade", f"The answer to the handshake is {status}, and must be 101."))
        elif self._socket is None:
            self.put(Trouble("no_upgrade", f"The handshake failed: {reason or 'the connection was closed'}."))
        else:
            self.put(Trouble("silent", f"The WebSocket was closed: {code or reason or 'without a word'}."))


class StreamSource(Source):
    """A stream."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lines = _Lines(self)

    async def open(self) -> None:
        try:
            response = await self.ask()
        except Trouble as trouble:
            raise (self.silence() if trouble.fault == "silent" else trouble) from None
        if response.code != 200:
            raise Answer(response.code, response.headers, await self.requests.body(response), 0).trouble()
        response.deliverBody(self._lines)

    async def ask(self) -> Any:
        """Send the request, and return the head of the answer."""
        return await self.requests.open("POST", self.server.path("stream"), self.listen_frame(), is_stream=True)

    def close(self) -> None:
        if self._lines.transport is not None:
            self._lines.transport.loseConnection()

    def silence(self) -> Trouble:
        return Trouble("buffering", f"Nothing came within {self.patience:g} s: something holds the answer back.")


class EventSource(StreamSource):
    """An event stream."""

    async def ask(self) -> Any:
        query = {"identifiers": self.group.names.spelled, "listener": self.listener}
        if self.group.secure_key:
            query["secureKey"] = self.group.secure_key
        if self.group.cursor is not None:
            query["position"] = str(self.group.cursor)
        return await self.requests.open("GET", f"{self.server.path('events')}?{urlencode(query)}", is_stream=True)


class _Lines(LineOnlyReceiver):
    """Reads the frames of a stream or an event stream."""

    delimiter = b"\n"
    MAX_LENGTH = _LONGEST_LINE

    def __init__(self, source: Source) -> None:
        self._source = source

    def lineReceived(self, line: bytes) -> None:
        text = line.removeprefix(b"data: ")
        if text.startswith(b"{"):
            self._source.put_text(text)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._source.put(Trouble("silent", "The answer ended."))


class PollSource(Source):
    """Polls, one after the other. Each resumes where the last one ended."""

    _waiting = 0

    async def open(self) -> None:
        await self._poll()

    async def frame(self) -> Frame:
        if self._waiting == 0:
            await self._poll()
        self._waiting -= 1
        return await super().frame()

    async def _poll(self) -> None:
        answer = await self.requests.ask("POST", self.server.path("poll"), self.listen_frame())
        if answer.status != 200:
            raise answer.trouble()
        for line in answer.body.splitlines():
            self._waiting += 1
            self.put_text(line)

    def close(self) -> None:
        """A poll ends by itself."""

    def silence(self) -> Trouble:
        return Trouble("silent", f"Nothing came within {self.patience:g} s.")


SOURCES: dict[str, type[Source]] = {
    "websocket": WebSocketSource,
    "stream": StreamSource,
    "events": EventSource,
    "poll": PollSource,
}
"""The ways to listen by the last segment of their path."""
