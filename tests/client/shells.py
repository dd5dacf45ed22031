"""The clients that wait, that are awaited, and that return Deferreds, called alike."""

import asyncio
import importlib
import sys
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.epollreactor import EPollReactor

from cometify.client import Cometify
from cometify.client.tx import TxCometify

SHELLS = ["sync", "httpx", "threads", "twisted"]


class Shell:
    """Calls a client and waits for the result.

    `wait`: waits for what a method returns. `turn`: lets the event loop notice what has happened. `end`: ends the loop.
    """

    def __init__(
        self, client: Any, wait: Callable[[Any], Any], turn: Callable[[], object], end: Callable[[], object]
    ) -> None:
        self.client = client
        self.turn = turn
        self.wait = wait
        self._end = end

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)
        return lambda *arguments, **options: self.wait(method(*arguments, **options))

    def end(self) -> None:
        self.close()
        self._end()


def make_shell(kind: str, monkeypatch: pytest.MonkeyPatch, url: str, **options: Any) -> Shell:
    match kind:
        case "sync":
            return Shell(Cometify.from_url(url, **options), lambda result: result, lambda: None, lambda: None)
        case "twisted":
            return _twisted(url, options)
        case _:
            return _asyncio(load_aio(monkeypatch, with_httpx=kind == "httpx"), url, options)


def load_aio(monkeypatch: pytest.MonkeyPatch, with_httpx: bool) -> Any:
    """The module for asyncio, as it is where httpx is installed and where it is not."""
    if not with_httpx:
        monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.delitem(sys.modules, "cometify.client.aio", raising=False)
    return importlib.import_module("cometify.client.aio")


def _asyncio(aio: Any, url: str, options: dict[str, Any]) -> Shell:
    runner = asyncio.Runner()

    def wait(result: Any) -> Any:
        return runner.run(result) if iscoroutine(result) else result

    def turn() -> None:
        runner.run(asyncio.sleep(0))

    return Shell(aio.AsyncCometify.from_url(url, **options), wait, turn, runner.close)


def _twisted(url: str, options: dict[str, Any]) -> Shell:
    reactor: Any = EPollReactor()
    reactor.startRunning(installSignalHandlers=False)

    def wait(deferred: Any) -> Any:
        if iscoroutine(deferred):
            deferred = Deferred.fromCoroutine(deferred)
        if not isinstance(deferred, Deferred):
            return deferred
        results: list[Any] = []
        failures: list[Any] = []
        deferred.addCallbacks(results.append, failures.append)
        while not results and not failures:
            reactor.iterate(0.05)
        if failures:
            failures[0].raiseException()
        return results[0]

    def turn() -> None:
        for _ in range(5):
            reactor.iterate(0)

    def end() -> None:
        reactor.fireSystemEvent("shutdown")
        turn()
        reactor.removeAll()
        for reader in list(reactor._internalReaders):
            reader.connectionLost(None)
        reactor._poller.close()

    return Shell(TxCometify.from_url(url, reactor=reactor, **options), wait, turn, end)
