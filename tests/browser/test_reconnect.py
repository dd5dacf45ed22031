"""What breaks on the way of a page that listens: the server dies, the connection is cut, again and again."""

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.conftest import Site
from tests.browser.proxy import Cutting, Turning
from tests.browser.visitor import TRANSPORTS, Visitor
from tests.conftest import Server
from tests.wire import API_KEY

CHANCE = "Math.random = () => {}"
"""How long a page waits before it connects again is up to chance; where tests must not wait for it, it is set."""

Visit = Callable[..., Visitor]

PAGE = """<!doctype html>
<title>0</title>
<script src="{server}/latest/cometify.min.js"></script>
<script>
  var got = [], gaps = [], states = [];
  var listener = Cometify.init({options}).start();
  listener.on('push', ({{data, identifier}}) => {{
    got.push([identifier, data]);
    document.title = got.length;
  }});
  listener.on('gap', ({{identifiers}}) => gaps.push(identifiers));
  listener.on('state', ({{state}}) => states.push(state));
  listener.on('error', () => {{}});
</script>
"""


def page(port: int, identifiers: Any, **more: Any) -> str:
    options = json.dumps({"apiKey": API_KEY, "identifiers": identifiers, "callback": "Boolean", **more})
    return PAGE.format(server=f"http://127.0.0.1:{port}", options=options)


def got(visitor: Visitor, count: int) -> list[list[str]]:
    """What the page has got, when it has got that many."""
    expect(visitor.page).to_have_title(str(count), timeout=20_000)
    return visitor.page.evaluate("got")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_pages_come_back_by_themselves_when_the_server_does(
    make_server: Callable[..., Server], site: Site, visit: Visit, context: BrowserContext, how: signal.Signals
):
    context.add_init_script(CHANCE.format(0.05))
    server = make_server(drain=1)
    visitors = {
        transport: visit(site.add(page(server.port, ["chat", "news"], transports=[transport])), transport)
        for transport in TRANSPORTS
    }
    visitors["automatic"] = visit(site.add(page(server.port, ["chat", "news"])), "websocket")
    server.pushed("chat", "before")
    for visitor in visitors.values():
        assert got(visitor, 1) == [["chat", "before"]]
    assert server.stop(how) == -how
    server.start()
    server.pushed("news", "perhaps while they are away")
    server.pushed("chat", "after")
    for transport, visitor in visitors.items():
        assert got(visitor, 3)[1:] == [["news", "perhaps while they are away"], ["chat", "after"]]
        # What was pushed just before the end may have been in the memory that is gone: that is told.
        assert visitor.page.evaluate("gaps") == [["chat", "news"]]
        assert visitor.page.evaluate("listener.state") == "connected"
        assert transport == "automatic" or visitor.asked == [transport]
    server.pushed("chat", "live")
    for visitor in visitors.values():
        assert got(visitor, 4)[3:] == [["chat", "live"]]


def test_page_leaves_websocket_when_the_way_stops_to_let_it_through(
    server: Server, site: Site, visit: Visit, context: BrowserContext
):
    context.add_init_script(CHANCE.format(0.05))
    context.add_init_script("window.later = 0; { const now = Date.now; Date.now = () => now() + window.later; }")
    with Turning(server.port) as proxy:
        visitor = visit(site.add(page(proxy.port, "turned")), "websocket")
        visitor.page.evaluate("window.later = 6000")  # long enough for the WebSocket to have proven itself
        server.pushed("turned", "by WebSocket")
        assert got(visitor, 1) == [["turned", "by WebSocket"]]
        proxy.turn()
        server.pushed("turned", "some other way")
        visitor.until(lambda: proxy.refused >= 4 or "stream" in visitor.asked)
        assert visitor.asked == ["websocket", "stream"]
        assert got(visitor, 2)[1:] == [["turned", "some other way"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_page_that_is_cut_at_random_gets_each_push_exactly_once_and_in_order(
    server: Server, site: Site, visit: Visit, context: BrowserContext, transport: str
):
    context.add_init_script(CHANCE.format(0))
    names = [f"{name}_{transport}" for name in ("one", "two", "three")]
    pushes = [[names[number * number % 3], str(number)] for number in range(300)]
    with Cutting(server.port, seed=1, most=3000) as proxy:
        proxy.cutting = False
        visitor = visit(site.add(page(proxy.port, names, transports=[transport])))
        visitor.joined(transport)
        visitor.page.wait_for_function("listener.state === 'connected'")
        proxy.cutting = True
        for name, text in pushes:
            server.pushed(name, text)
        assert got(visitor, len(pushes)) == pushes
        assert visitor.page.evaluate("gaps") == []
        assert proxy.cuts >= 15
    assert visitor.asked == [transport]
