"""Clients of each kind, and scripted servers for them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client.scripted import Script, ScriptedServer
from tests.client.shells import SHELLS, Shell, make_shell


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted servers: scripted(script, …)."""
    servers: list[ScriptedServer] = []

    def make(*scripts: Script) -> ScriptedServer:
        servers.append(ScriptedServer(*scripts))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture(params=SHELLS)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Shell]]:
    """Make clients of each kind in turn: client(url, timeout=…)."""
    shells: list[Shell] = []

    def make(url: str, **options: Any) -> Shell:
        shells.append(make_shell(request.param, monkeypatch, url, **options))
        return shells[-1]

    yield make
    for shell in shells:
        shell.end()
