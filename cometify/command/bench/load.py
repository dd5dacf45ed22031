"""Load: pushes at a fixed rate to a new identifier, and listeners that hear them.

The rate does not wait for the server: a push is due at its time, whether or not earlier ones were answered. So a server that
falls behind shows in the latencies. At most `MOST_WAITING` pushes wait for their answers at once. A further
push is not sent, and counted as skipped.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from cometify.command.bench.latencies import Latencies
from cometify.command.frames import Frame
from cometify.command.group import Group
from cometify.command.requests import Requests
from cometify.command.server_url import ServerURL
from cometify.command.troubles import FAULT_OF_CODE, Trouble
from cometify.command.websocket_client import FrameSocket, open_websocket
from cometify.core.identifier import names_from_query
from cometify.core.md5_signature import secure_key

MOST_WAITING = 64
"""Pushes that may wait for their answers at once."""
PATIENCE = 10.0
"""Seconds that joining, an answer, and the last deliveries may take."""
_TICK = 0.005


@attrs.define
class Result:
    """`sent`: pushes that were sent in `seconds`. `skipped`: pushes that were due, and not sent because too many waited.

    `refused`, `turned_away`: pushes and listeners by the code of the refusal. `missing`: deliveries of accepted pushes that
    did not come. `repeated`: deliveries that came again. `cpu`: the share of one core that this command took.
    """

    listeners: int = 0
    turned_away: Counter[str] = attrs.field(factory=Counter)
    lost: int = 0
    seconds: float = 0.0
    sent: int = 0
    skipped: int = 0
    accepted: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    deliveries: int = 0
    missing: int = 0
    repeated: int = 0
    delivery: Latencies = attrs.field(factory=Latencies)
    answer: Latencies = attrs.field(factory=Latencies)
    cpu: float = 0.0


class Load:
    """`rate`: pushes in a second. `size`: bytes of a text. `progress`: called with the seconds since the beginning."""

    def __init__(
        self,
        server: ServerURL,
        reactor: Any,
        *,
        seconds: float,
        listeners: int,
        rate: float,
        size: int,
        progress: Callable[[float], None],
    ) -> None:
        self.result = Result()
        self.sent_at: list[float] = []
        self.group = Group(names_from_query(f"bench_{secrets.token_hex(8)}"))
        self.group.secure_key = secure_key(server.api_key, server.api_secret, self.group.names.spelled)
        self._server = server
        self._reactor = reactor
        self._requests = Requests(server, reactor, PATIENCE)
        self._seconds = seconds
        self._rate = rate
        self._size = size
        self._progress = progress
        self._listeners = [_Listener(self) for _ in range(listeners)]
        self._accepted: set[int] = set()
        self._waiting = 0
        self._began = 0.0

    async def run(self) -> Result:
        """Join, push and listen. Raises `Trouble` if the server takes no push, or no listener."""
        await self._try_once()
        for listener in self._listeners:
            open_websocket(self._server, listener, self._reactor).addErrback(listener.failed)
        await self._until(lambda: all(listener.is_settled for listener in self._listeners))
        joined = [listener for listener in self._listeners if listener.is_joined]
        self.result.listeners = len(joined)
        self.result.turned_away = Counter(listener.refusal for listener in self._listeners if not listener.is_joined)
        if self._listeners and not joined:
            code = self._listeners[0].refusal
            raise Trouble(FAULT_OF_CODE.get(code, "silent"), f"No listener could join: {code}.")
        cpu = time.process_time()
        await self._push_at_the_rate()
        self.result.cpu = (time.process_time() - cpu) / self.result.seconds
        await self._until(lambda: self._waiting == 0 and all(map(self._has_all, joined)))
        self._count(joined)
        for listener in joined:
            listener.leave()
        await self._requests.close()
        return self.result

    async def _try_once(self) -> None:
        answer = await self._requests.push(self.group.names.spelled, {"text": "", "secret": 1})
        if answer.status != 200:
            raise answer.trouble()

    async def _push_at_the_rate(self) -> None:
        self._began = time.monotonic()
        loop = LoopingCall(self._push_what_is_due)
        loop.clock = self._reactor
        done = loop.start(_TICK)
        await deferLater(self._reactor, self._seconds)
        loop.stop()
        await done
        self.result.seconds = time.monotonic() - self._began
        self.result.sent = len(self.sent_at)

    def _push_what_is_due(self) -> None:
        elapsed = min(time.monotonic() - self._began, self._seconds)
        self._progress(elapsed)
        due = int(elapsed * self._rate) + 1 - len(self.sent_at) - self.result.skipped
        for _ in range(due):
            if self._waiting >= MOST_WAITING:
                self.result.skipped += 1
                continue
            self._waiting += 1
            number = len(self.sent_at)
            self.sent_at.append(time.monotonic())
            Deferred.fromCoroutine(self._push(number))

    async def _push(self, number: int) -> None:
        text = f"{number} ".ljust(self._size, "x")
        try:
            answer = await self._requests.push(self.group.names.spelled, {"text": text, "secret": 1})
        except Trouble as trouble:
            self.result.refused[trouble.fault] += 1
        else:
            if answer.status == 200:
                self._accepted.add(number)
                self.result.answer.add(answer.seconds)
            else:
                self.result.refused[answer.problem[0] or str(answer.status)] += 1
        finally:
            self._waiting -= 1

    def _has_all(self, listener: "_Listener") -> bool:
        return listener.is_gone or listener.count >= len(self._accepted)

    def _count(self, joined: "list[_Listener]") -> None:
        result = self.result
        result.accepted = len(self._accepted)
        result.lost = sum(listener.is_gone for listener in joined)
        result.deliveries = sum(listener.count for listener in joined)
        result.missing = sum(not listener.has(number) for listener in joined for number in self._accepted)
        result.repeated = sum(listener.repeated for listener in joined)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        """Wait for a Deferred, for `PATIENCE` seconds at most."""
        until = time.monotonic() + PATIENCE
        while not is_so() and time.monotonic() < until:
            await deferLater(self._reactor, _TICK)


class _Listener:
    """A WebSocket that notes when it hears each push. It is the owner of its socket."""

    def __init__(self, load: Load) -> None:
        self.count = 0
        self.repeated = 0
        self.refusal = "silent"
        self.is_joined = False
        self.is_gone = False
        self._load = load
        self._heard = bytearray()  # a byte for each push, because there can be millions
        self._socket: FrameSocket | None = None

    @property
    def is_settled(self) -> bool:
        """True if it has joined, or can no longer join."""
        return self.is_joined or self.is_gone

    def has(self, number: int) -> bool:
        """True if it has heard this push."""
        return number < len(self._heard) and self._heard[number] == 1

    def failed(self, _failure: object) -> None:
        """No connection was made."""
        self.refusal = "unreachable"
        self.is_gone = True

    def leave(self) -> None:
        """Close the WebSocket."""
        if self._socket is not None:
            self._socket.sendClose(1000)

    def opened(self, socket: FrameSocket) -> None:
        """See `websocket_client.Owner`."""
        self._socket = socket
        socket.say({"type": "listen", "listener": secrets.token_hex(8), "groups": [self._load.group.asked()]})

    def heard(self, text: str, frame: Frame) -> None:
        """See `websocket_client.Owner`."""
        now = time.monotonic()
        if frame["type"] == "push":
            number = int(frame["text"].partition(" ")[0])
            if self.has(number):
                self.repeated += 1
            else:
                self._heard.extend(bytes(max(0, number + 1 - len(self._heard))))
                self._heard[number] = 1
                self.count += 1
                self._load.result.delivery.add(now - self._load.sent_at[number])
        elif frame["type"] == "ready":
            self.is_joined = True
        elif frame["type"] == "error":
            self.refusal = frame["code"]

    def closed(self, code: int | None, reason: str, status: int | None) -> None:
        """See `websocket_client.Owner`."""
        if status is not None:
            self.refusal = f"HTTP {status}"
        self.is_gone = True
