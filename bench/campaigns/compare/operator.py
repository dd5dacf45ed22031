"""An operator who watches: the console is open in a page, and a Prometheus reads the metrics, those of accounts with them."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from bench.rig.account import KEY
from bench.speed.servers.cometify import COMETIFY, command
from bench.speed.servers.server import Workspace

_EVERY = 5.0
"""Seconds between two readings. The console's page asks as often; most Prometheus servers read more seldom."""


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200:
        raise AssertionError(f"{path} was answered with {answer.status}")
    return text


class _Watch:
    """What the page "Overview" of one account asks for each time, and a scrape. The first reading has the whole history."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._since = 0

    def read(self) -> None:
        (told,) = json.loads(_get(self._port, f"/console/processes?since={self._since}"))["processes"]
        _get(self._port, f"/console/account?account={KEY}&since={self._since}")
        _get(self._port, "/console/accounts")
        history = told["history"]
        self._since = max(self._since, history["from"] + (history["samples"] - 1) * history["every"])
        if "cometify_account_" not in _get(self._port, "/metrics"):
            raise AssertionError("/metrics lacks the figures of accounts")


@contextmanager
def _watching(workspace: Workspace) -> Iterator[None]:
    watch, ended, failures = _Watch(workspace.admin), threading.Event(), []
    watch.read()

    def go_on() -> None:
        try:
            while not ended.wait(_EVERY):
                watch.read()
        except (AssertionError, OSError, ValueError) as failure:
            failures.append(failure)

    reader = threading.Thread(target=go_on)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()
    if failures:
        raise failures[0]


def _command(workspace: Workspace) -> list[str]:
    return command(workspace, "account_metrics = true")


WATCHED = replace(COMETIFY, name="watched", title="watched", command=_command, beside=_watching)
