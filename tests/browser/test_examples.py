"""The examples for React, Vue and Laravel Echo, built from the npm package, in three browsers."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.browser.engine import ENGINES, HEARTBEAT, Engine, Tab
from tests.browser.proxy import Proxy
from tests.browser.site import Site
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, eventually, jwt

SHOWN = "[...document.querySelectorAll('li')].map((item) => item.textContent)"


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(account={"identifiers": "extended", "private": ["private-*"]}, heartbeat=HEARTBEAT)


@pytest.fixture
def wire(server: Server) -> Iterator[Proxy]:
    """The line between the page and the server, which can be cut."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture(params=ENGINES)
def open_example(
    request: pytest.FixtureRequest, _engines: dict[str, Engine], examples: Path, site: Site, wire: Proxy
) -> Iterator[Callable[..., Tab]]:
    """open_example("react"): its page, connected through the line. `auth`: the URL that the page asks for tokens."""

    opened: list[Tab] = []

    def open_example(name: str, auth: str = "") -> Tab:
        script = site.add((examples / name / "dist/app.js").read_text("utf-8"), "js")
        page = (examples / name / "index.html").read_text("utf-8")
        for own, tested in {
            "dist/app.js": script,
            "http://localhost:8081": f"http://127.0.0.1:{wire.port}",
            "/broadcasting/auth": auth,
        }.items():
            assert own in page or own == "/broadcasting/auth"
            page = page.replace(own, tested)
        assert API_KEY in page
        tab = _engines[request.param].open(site.add(page))
        opened.append(tab)
        connected(tab)
        return tab

    yield open_example
    for tab in opened:
        tab.close()


def click(tab: Tab, selector: str) -> None:
    tab.evaluate(f"(document.querySelector({json.dumps(selector)}).click(), true)")


def shows(tab: Tab, *texts: str) -> None:
    """Wait until the page shows so many pushes. They must be exactly these."""
    tab.until(f"{SHOWN}.length >= {len(texts)}", show=SHOWN)
    assert tab.evaluate(SHOWN) == list(texts)


def connected(tab: Tab) -> None:
    tab.until("document.getElementById('state')?.textContent === 'connected'")


def listeners_of(server: Server, identifier: str) -> int:
    """Return the number of listeners that the inspector counts."""
    told = server.request("GET", "/inspect", port=server.admin_port).json["processes"]
    return sum(row["listeners"] for row in told[0]["identifiers"] if row["identifier"] == identifier)


@pytest.mark.parametrize("name", ["react", "vue"])
def test_example_with_channels_shows_each_push_once(
    server: Server, wire: Proxy, open_example: Callable[..., Tab], name: str
):
    tab = open_example(name)
    server.pushed("orders", "1")
    shows(tab, "orders: 1")
    # The other channel is chosen as well. The first loses nothing by that.
    click(tab, "input[name=news]")
    server.pushed("orders", "2")
    eventually(lambda: listeners_of(server, "news") == 1)
    wire.cut()
    server.pushed("orders", "3")
    server.pushed("news", "4")
    expected = ["orders: 1", "orders: 2", "orders: 3", "news: 4"]
    shows(tab, *expected)
    server.stop()
    tab.until("document.getElementById('state').textContent !== 'connected'")
    server.start()
    connected(tab)
    # The server's memory is empty now.
    told = "document.getElementById('gaps').textContent"
    tab.until(f"{told}.split(',').sort().join() === 'news,orders'", show=told)
    click(tab, "input[name=orders]")
    eventually(lambda: listeners_of(server, "orders") == 0 and listeners_of(server, "news") == 1)
    server.pushed("orders", "not chosen")
    server.pushed("news", "5")
    shows(tab, *expected, "news: 5")


def push_event(server: Server, identifier: str, event: str, data: Any, **more: str) -> None:
    """Push as a Laravel app would."""
    body = {"event": event, "data": data, "secret": int(identifier.startswith("private-")), **more}
    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    answer = server.request("POST", f"/{API_KEY}/push/{identifier}", json.dumps(body).encode(), headers)
    assert answer.status == 200, answer


def test_example_of_echo_hears_what_its_app_allows(
    server: Server, site: Site, wire: Proxy, open_example: Callable[..., Tab]
):
    asked: list[tuple[str, str]] = []

    def authorise(body: str) -> tuple[int, str]:
        channel, listener = (value for _name, value in parse_qsl(body))
        asked.append((channel, listener))
        if channel != "private-orders.5":
            return 403, "{}"
        return 200, json.dumps({"token": jwt({"exp": time.time() + 3600, "identifiers": [channel]})})

    tab = open_example("echo", site.add_answer(authorise))
    tab.until("document.getElementById('errors').textContent.includes(': 403')")
    eventually(lambda: listeners_of(server, "private-orders.5") == 1)
    assert sorted(channel for channel, _ in asked) == ["private-orders.5", "private-orders.6"]
    push_event(server, "private-orders.5", "order.paid", {"total": 1})
    push_event(server, "private-orders.5", "order.paid", {"total": "of this page"}, **{"except": asked[0][1]})
    push_event(server, "news", "App.Events.Published", {"title": "2"})
    shows(tab, "orders.5: 1", "news: 2")
    wire.cut()
    push_event(server, "private-orders.5", "order.paid", {"total": 3})
    shows(tab, "orders.5: 1", "news: 2", "orders.5: 3")
    server.stop()
    tab.until("document.getElementById('state').textContent !== 'connected'")
    server.start()
    connected(tab)
    click(tab, "#leave")
    eventually(lambda: listeners_of(server, "private-orders.5") == 0 and listeners_of(server, "news") == 1)
    push_event(server, "private-orders.5", "order.paid", {"total": "left"})
    push_event(server, "news", "App.Events.Published", {"title": "4"})
    shows(tab, "orders.5: 1", "news: 2", "orders.5: 3", "news: 4")
