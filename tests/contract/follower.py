"""Listeners that come back and publishers that try again, as pages and back ends do, to test promises end to end."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import attrs

from tests.wire import API_KEY, FORM, Client, Closed, form, secure


class Follower(threading.Thread):
    """A listener that comes back until it has `count` pushes, or `within` seconds. `texts`: those of all its connections."""

    def __init__(self, client: Client, transport: str, name: str, number: int, count: int, within: float = 30) -> None:
        super().__init__()
        self.joined = threading.Event()
        self.texts: list[str] = []
        self.positions: list[int] = []
        self.connections = 0
        self.gaps = 0
        self._client = client
        self._transport = transport
        self._query = f"identifiers={name}&listener=follower{number:04}"
        self._count = count
        self._until = time.monotonic() + within
        self._position = 0

    def run(self) -> None:
        while len(self.texts) < self._count and time.monotonic() < self._until:
            with suppress(EOFError, OSError, Closed, ValueError, KeyError):
                self._connect()
            time.sleep(0.02)  # a client that was cut or refused waits longer

    def _connect(self) -> None:
        query = self._query + (f"&position={self._position}" if self._position else "")
        if self._transport == "poll":
            answer = self._client.poll(query=query)
            for frame in answer.frames if answer.status == 200 else ():
                self._take(frame)
            return
        open_it = self._client.websocket if self._transport == "websocket" else self._client.stream
        more = {} if self._transport == "websocket" else {"path": self._transport}
        with open_it(query, **more) as listener:
            self.connections += 1
            while listener.status in (101, 200) and len(self.texts) < self._count:
                self._take(listener.frame())

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "ready" and not self._position:
            (self._position,) = frame["positions"]
        elif frame["type"] == "push":
            self.texts.append(frame["text"])
            self.positions.append(frame["position"])
            self._position = frame["position"]
        elif frame["type"] == "heartbeat":
            self._position = frame["position"]
            self.joined.set()
        self.gaps += frame["type"] == "gap"


class Visitor(threading.Thread):
    """A listener that comes back until it is told to leave, and waits as long as the server or the balancer asks."""

    def __init__(self, client: Client, transport: str, number: int) -> None:
        super().__init__(daemon=True)
        self.leaving = False
        self._client = client
        self._transport = transport
        self._query = f"identifiers=visited&listener=visitor{number:04}"
        self._position = 0
        self._wait = 0.0

    def run(self) -> None:
        while not self.leaving:
            self._wait = random.uniform(0, 1)  # a page's first backoff
            with suppress(EOFError, OSError, Closed, ValueError):
                if self._transport == "poll":
                    self._poll()
                else:
                    self._listen()
            time.sleep(self._wait)

    def _listen(self) -> None:
        open_it = self._client.websocket if self._transport == "websocket" else self._client.stream
        more = {} if self._transport == "websocket" else {"path": self._transport}
        with open_it(self._query, **more) as listener:
            while self._is_accepted(listener.status, listener.headers):
                self._take(listener.frame())

    def _poll(self) -> None:
        answer = self._client.poll(query=self._query + (f"&position={self._position}" if self._position else ""))
        if self._is_accepted(answer.status, answer.headers):
            self._wait = 0  # the next poll follows at once
            for frame in answer.frames:
                self._take(frame)

    def _is_accepted(self, status: int, headers: dict[str, str]) -> bool:
        self._wait += float(headers.get("retry-after", 0))
        return status in (101, 200)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "heartbeat":
            self._position = frame["position"]
        elif frame["type"] == "reconnect":
            self._wait = frame["after"] / 1000
        elif frame["type"] == "error":
            self._wait += frame["retry"] or 0
            raise EOFError("an error frame is the last one")


@attrs.frozen
class Followed:
    """`pushed`: texts by their positions. `resumed`: how often a listener had to come back."""

    pushed: dict[int, str]
    resumed: int


def follow_and_push(client: Client, name: str, strike: Callable[[], None], count: int = 80) -> Followed:
    """Push `count` texts to the identifier `name`, with a `strike` after a third of them, while twelve listeners on all
    transports follow. Each must get each push once, in order, and be told no gap.
    """
    followers = [
        Follower(client, transport, name, number, count)
        for number, transport in enumerate(("websocket", "stream", "events", "poll") * 3)
    ]
    for follower in followers:
        follower.start()
    pushed: dict[int, str] = {}
    try:
        for follower in followers:
            assert follower.joined.wait(10)
        for number in range(count):
            if number == count // 3:
                strike()
            text = f"{name} {number}"
            pushed[_pushed_at_last(client, name, text)] = text
    finally:
        for follower in followers:
            follower.join(60)
    assert len(pushed) == count
    for follower in followers:
        assert follower.texts == [pushed[position] for position in sorted(pushed)]
        assert follower.positions == sorted(pushed)
        assert follower.gaps == 0
    return Followed(pushed, sum(max(0, follower.connections - 1) for follower in followers))


def _pushed_at_last(client: Client, name: str, text: str) -> int:
    """Push as often as it takes, with one Idempotency-Key; the position."""
    body = form({"secret": "0", "secure": secure(name, text), "text": text})
    until = time.monotonic() + 20
    while True:
        with suppress(OSError, EOFError):
            headers = {**FORM, "Idempotency-Key": text.replace(" ", "-")}
            answer = client.request("POST", f"/{API_KEY}/push/{name}", body, headers)
            if answer.status == 200:
                return answer.json["position"]
            assert answer.status in (502, 503, 504), answer
        assert time.monotonic() < until
