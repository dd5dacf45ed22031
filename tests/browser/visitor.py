"""A page in a real browser, and everything about it that is visible from outside."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request, Response, WebSocket

TRANSPORTS = ("websocket", "stream", "poll")


def transport_of(url: str) -> str | None:
    """Which transport's URL this is, if any."""
    last = urlsplit(url).path.rpartition("/")[2]
    return last if last in TRANSPORTS else None


class Visitor:
    """Records the requests, console messages and content of a page. Nothing is read out of the page's own code."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        """The transports asked for, in order, the same one after itself left out."""
        self.answering: set[str] = set()
        """The transports that have given something."""
        self.dialogs: list[str] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.requests: list[Request] = []
        self.sent_frames: list[str] = []
        self.websockets: list[str] = []
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("websocket", self._websocket)
        page.on("dialog", self._dialog)
        page.on("console", lambda said: self._said(said.type, said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def __repr__(self) -> str:
        seen = ("asked", "answering", "dialogs", "warnings", "errors")
        return f"<{self.page.url}: {', '.join(f'{name} {getattr(self, name)}' for name in seen)}>"

    def _ask(self, transport: str) -> None:
        if self.asked[-1:] != [transport]:
            self.asked.append(transport)

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        if transport := transport_of(request.url):
            self._ask(transport)

    def _response(self, response: Response) -> None:
        transport = transport_of(response.url)
        if transport and response.ok:
            self.answering.add(transport)

    def _websocket(self, websocket: WebSocket) -> None:
        self.websockets.append(websocket.url)
        self._ask("websocket")
        websocket.on("framereceived", lambda _: self.answering.add("websocket"))
        websocket.on("framesent", lambda data: self.sent_frames.append(str(data)))

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept()

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            (self.errors if kind == "error" else self.warnings).append(text)

    def until(self, condition: Callable[[], Any], seconds: float = 10) -> None:
        """Let the browser's events come until something is so."""
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self
            self.page.wait_for_timeout(20)

    def joined(self, transport: str) -> None:
        """Wait until the server has answered on this transport. Later pushes have a listener."""
        self.until(lambda: transport in self.answering)

    def open(self, url: str, transport: str | None = None) -> "Visitor":
        self.page.goto(url)
        if transport:
            self.joined(transport)
        return self
