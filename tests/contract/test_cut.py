"""A listener that is cut at random moments gets each push exactly once, in order, by resuming with the cursor rules."""

import random
import socket
from contextlib import suppress
from typing import Any

import pytest

from tests.contract.support import TRANSPORTS
from tests.wire import API_KEY, FORM, Closed, Connection, form, request_bytes, secure

PUSHES = 2000
CUTS = 50
NAMES = ("cut_a", "cut_b", "cut_c")


class Page:
    """The memory of a page: the cursor of one group, and the texts that its callback got."""

    def __init__(self) -> None:
        self.cursor: int | None = None
        self.last: dict[str, int] = {}
        self.got: list[str] = []
        self.gaps = 0

    def frame(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "ready":
            if self.cursor is None:
                (self.cursor,) = frame["positions"]
        elif kind == "push":
            assert frame["position"] > self.last.get(frame["identifier"], 0), "a push came twice"
            self.last[frame["identifier"]] = frame["position"]
            self.cursor = frame["position"]
            self.got.append(frame["text"])
        elif kind == "heartbeat":
            assert self.cursor is not None
            assert frame["position"] >= self.cursor
            self.cursor = frame["position"]
        else:
            self.gaps += kind == "gap"
            assert kind != "error", frame


class Publisher:
    def __init__(self, server: Any, transport: str) -> None:
        self.connection = Connection(server.port)
        self.transport = transport
        self.sent = 0
        self.answered = 0

    def send(self, count: int) -> None:
        """Push so many at once. The answers are read later."""
        data = b""
        for number in range(self.sent, self.sent + count):
            name, text = f"{self.transport}_{NAMES[number % 3]}", str(number)
            body = form({"text": text, "secret": "0", "secure": secure(name, text)})
            data += request_bytes("POST", f"/{API_KEY}/push/{name}", body, FORM)
        self.sent += count
        self.connection.send(data)

    def settle(self) -> None:
        while self.answered < self.sent:
            assert self.connection.answer().status == 200
            self.answered += 1


class Listening:
    """One connection of the page after the other."""

    def __init__(self, server: Any, transport: str, page: Page) -> None:
        self.server = server
        self.transport = transport
        self.page = page
        self.one: Any = None

    def query(self) -> str:
        names = ",".join(f"{self.transport}_{name}" for name in NAMES)
        query = f"identifiers={names}&listener=a-page-{self.transport}"
        if self.page.cursor is None or self.transport == "events":
            return query
        return f"{query}&position={self.page.cursor}"

    def connect(self) -> None:
        if self.transport == "websocket":
            self.one = self.server.websocket(self.query())
        elif self.transport == "poll":
            self.one = Connection(self.server.port)
            self.one.send(request_bytes("GET", f"/{API_KEY}/poll?{self.query()}"))
        else:
            headers = {"Last-Event-ID": str(self.page.cursor)} if self.page.cursor else None
            self.one = self.server.stream(self.query(), self.transport, headers)

    @property
    def connection(self) -> Connection:
        return self.one if self.transport == "poll" else self.one.connection

    def read(self) -> None:
        """Read a frame, or a whole poll. Something must be on its way."""
        if self.one is None:
            self.connect()
        if self.transport == "poll":
            for frame in self.one.answer().frames:
                self.page.frame(frame)
            self.one.send(request_bytes("GET", f"/{API_KEY}/poll?{self.query()}"))
            return
        try:
            self.page.frame(self.one.frame())
        except (EOFError, Closed):
            self.one.close()
            self.one = None

    def cut(self, random: random.Random) -> None:
        """Close without a word, perhaps in the middle of a frame."""
        if self.one is None:
            self.connect()
        if random.random() < 0.5:
            self.connection.socket.settimeout(0.002)
            with suppress(TimeoutError):
                self.connection.socket.recv(random.randrange(1, 2000))
        if random.random() < 0.5:
            self.connection.reset()
        else:
            self.connection.socket.shutdown(socket.SHUT_RDWR)
            self.connection.close()
        self.one = None
        if random.random() < 0.3:
            # Come and go before anything was read.
            self.connect()
            self.connection.reset()
            self.one = None


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_push_comes_exactly_once_and_in_order(server, transport):
    chance = random.Random(f"cut {transport}")
    cuts = sorted(chance.sample(range(1, PUSHES - 50), CUTS), reverse=True)
    page = Page()
    listening = Listening(server, transport, page)
    while page.cursor is None:
        listening.read()
    publisher = Publisher(server, transport)
    done = 0
    while publisher.sent < PUSHES:
        publisher.send(min(chance.randint(1, 40), PUSHES - publisher.sent))
        if chance.random() < 0.7:
            publisher.settle()
        while cuts and cuts[-1] < publisher.sent:
            cuts.pop()
            listening.cut(chance)
            done += 1
        for _ in range(chance.randint(0, 30)):
            if len(page.got) == publisher.sent:
                break
            listening.read()
    publisher.settle()
    while len(page.got) < PUSHES:
        listening.read()
    assert done == CUTS
    assert page.got == [str(number) for number in range(PUSHES)]
    assert page.gaps == 0
    publisher.connection.close()
    if listening.one is not None:
        listening.one.close()
