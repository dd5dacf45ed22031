"""A listener that comes back: it keeps one WebSocket open, and resumes where it was cut off.

- A lost connection is opened again after a random delay, of at most 1 s at first, then 2 s, 4 s and so on up to 30 s
  ("full jitter"). Listeners that lost their connection together do not come back together.
- The server may ask for a longer delay: `retry` of an error, `after` of a `reconnect`.
- A refusal that the server would repeat ends the listener.
- A connection that is silent for a heartbeat and ten seconds is dead.
"""

import random
import secrets
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from cometify.command.frames import Frame
from cometify.command.group import Group
from cometify.command.server_url import ServerURL
from cometify.command.websocket_client import HANDSHAKE_WITHIN, FrameSocket, open_websocket

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
HEARTBEAT_GRACE = 10
"""Seconds by which a heartbeat may be late."""
PROOF = 5
"""Seconds after which a connection counts as good: the next delay is short again."""


class Receiver(Protocol):
    """The object that a listener reports to."""

    def received(self, text: str, frame: Frame) -> None:
        """A new push, or a gap, came. `text`: the frame as it was sent."""

    def told(self, notice: str) -> None:
        """A sentence for the person who started the listener."""

    def moved(self, cursor: int) -> None:
        """The listener has everything up to this position."""


class Listening:
    """`refused`: fires with the reason when the server has refused the listener for good.

    `chance`: gives a random number from 0 to 1.
    """

    def __init__(
        self,
        server: ServerURL,
        group: Group,
        receiver: Receiver,
        reactor: Any,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.refused: Deferred[str] = Deferred()
        self._server = server
        self._group = group
        self._receiver = receiver
        self._reactor = reactor
        self._chance = chance
        self._listener_id = secrets.token_hex(8)
        self._socket: FrameSocket | None = None
        self._connecting: Deferred[Any] | None = None
        self._timer: IDelayedCall | None = None
        self._heartbeat = 0.0
        self._failures = 0
        self._joined_at: float | None = None
        self._asked_delay = 0.0
        self._why = ""
        self._last_told = ""
        self._is_stopped = False

    def start(self) -> None:
        """Open a connection."""
        self._joined_at, self._asked_delay, self._why = None, 0.0, ""
        self._connecting = open_websocket(self._server, self, self._reactor)
        self._connecting.addCallbacks(self._connected, self._not_connected)

    def stop(self) -> None:
        """Say goodbye, and do nothing more. Nothing is received after it."""
        self._is_stopped = True
        self._set_timer(None)
        if self._socket is not None:
            self._socket.sendClose(1000)
        elif self._connecting is not None:
            self._connecting.cancel()

    # Reports of the socket.

    def opened(self, socket: FrameSocket) -> None:
        """See `websocket_client.Owner`."""
        if self._is_stopped:
            socket.dropConnection(abort=True)
            return
        self._socket = socket
        socket.say({"type": "listen", "listener": self._listener_id, "groups": [self._group.asked()]})
        self._set_timer(HANDSHAKE_WITHIN, self._silent, "No answer to the request to listen")

    def heard(self, text: str, frame: Frame) -> None:
        """See `websocket_client.Owner`."""
        if self._is_stopped:
            return
        if self._heartbeat:
            self._set_timer(self._heartbeat + HEARTBEAT_GRACE, self._silent, "No heartbeat")
        match frame["type"]:
            case "ready":
                self._ready(frame)
            case "error":
                self._why = f"{frame['detail']} ({frame['code']})"
                self._asked_delay = frame["retry"] or 0
                if frame["retry"] is None:
                    self._end(self._why)
                    return
            case "reconnect":
                self._why = "The server is about to end"
                self._asked_delay = frame["after"] / 1000
        before = self._group.cursor
        if self._group.take(frame):
            self._receiver.received(text, frame)
        if not self._is_stopped and self._group.cursor is not None and self._group.cursor != before:
            self._receiver.moved(self._group.cursor)

    def closed(self, code: int | None, reason: str, status: int | None) -> None:
        """See `websocket_client.Owner`."""
        self._socket = None
        if self._is_stopped:
            return
        if code is not None and code // 100 == 40:
            self._end(self._why or f"{reason} ({code})")
        elif status is not None:
            self._come_back(f"The answer to the handshake is {status}. `cometify doctor` finds the reason")
        else:
            self._come_back(self._why or reason or "The connection was lost")

    # Reactions to frames and to the loss of the connection.

    def _ready(self, frame: Frame) -> None:
        self._heartbeat = frame["heartbeat"]
        self._set_timer(self._heartbeat + HEARTBEAT_GRACE, self._silent, "No heartbeat")
        if self._joined_at is None:
            self._joined_at = self._reactor.seconds()
            self._tell("Listening")
        for warning in frame.get("warnings", ()):
            self._receiver.told(warning)

    def _connected(self, _socket: object) -> None:
        self._connecting = None

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if not self._is_stopped:
            self._come_back(failure.getErrorMessage())

    def _come_back(self, why: str) -> None:
        if self._joined_at is not None and self._reactor.seconds() - self._joined_at >= PROOF:
            self._failures = 0
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2**self._failures)
        self._failures += 1
        self._heartbeat = 0
        self._tell(f"{why.rstrip('.')}. Trying again.")
        self._set_timer(self._asked_delay + self._chance() * longest, self.start)

    def _silent(self, why: str) -> None:
        self._why = why
        assert self._socket is not None
        self._socket.dropConnection(abort=True)

    def _end(self, why: str) -> None:
        self.stop()
        self.refused.callback(why)

    def _tell(self, notice: str) -> None:
        """Tell a notice once, even if it is repeated."""
        if notice != self._last_told:
            self._last_told = notice
            self._receiver.told(notice)

    def _set_timer(self, delay: float | None, call: Callable[..., None] | None = None, *arguments: object) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if delay is None or call is None else self._reactor.callLater(delay, call, *arguments)
