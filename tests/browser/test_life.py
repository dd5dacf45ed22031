"""The life of a page: its reader leaves and returns, the network goes, the browser freezes it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Chromium
from tests.browser.conftest import Everywhere
from tests.browser.engine import HEARTBEAT
from tests.browser.proxy import Proxy, Stalling
from tests.browser.site import Site, journal_page, listens
from tests.browser.tabs import PlainChromium
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.wire import eventually


def listeners(server: Server) -> int:
    """Return the number of listeners from the server's metrics."""
    text = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("cometify_listeners{"))


def on_each(server: Server, identifier: str, chance: float = 0.05) -> str:
    """A page with a listener on each transport."""
    statements = [listens(identifier, transport, transports=[transport]) for transport in TRANSPORTS]
    return journal_page(server.port, *statements, chance=chance)


def all_got(count: int) -> str:
    return f"Object.values(journals).every(({{got}}) => got.length >= {count})"


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(heartbeat=HEARTBEAT)


def test_page_in_the_back_forward_cache_misses_nothing(server: Server, site: Site, everywhere: Everywhere):
    elsewhere = site.add("<!doctype html><title>Elsewhere</title>")
    tabs = everywhere(site.add(on_each(server, "left")))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    server.pushed("left", "before")
    for tab in tabs.values():
        tab.until(all_got(1), show="journals")
        tab.open(elsewhere)
    # No connection is left behind by a page that is not looked at; one that polled is counted 10 s longer.
    eventually(lambda: listeners(server) <= len(tabs))
    server.pushed("left", "while it was away")
    for tab in tabs.values():
        tab.back()
        tab.until("document.title === 'Journals' && self.shown && shown.length && connected()", show="self.journals")
    # Firefox keeps no page that had a connection when it was left, however soon it closed it: there the page is a new one.
    assert tabs.pop("firefox").evaluate("shown") == [False]
    server.pushed("left", "after")
    for engine, tab in tabs.items():
        assert tab.evaluate("shown") == [False, True], engine
        tab.until(all_got(3), show="journals")
        for transport in TRANSPORTS:
            texts = [text for _, text in tab.evaluate(f"journals.{transport}.got")]
            assert texts == ["before", "while it was away", "after"], (engine, transport)
            assert tab.evaluate(f"journals.{transport}.gaps") == []
        # It waited while it was away, and not when it came back.
        states = [state for state, _, _ in tab.evaluate("journals.websocket.states")]
        assert states == ["connecting", "connected", "waiting", "connecting", "connected"], engine


def through(proxy: Proxy, identifier: str, chance: float, before: str = "") -> str:
    """A page with a listener on each transport, all through the proxy."""
    server = f"http://127.0.0.1:{proxy.port}"
    statements = [listens(identifier, transport, transports=[transport], server=server) for transport in TRANSPORTS]
    return journal_page(proxy.upstream, *statements, chance=chance, before=before)


def test_page_reconnects_at_once_when_online_again(server: Server, site: Site, chromium: Chromium):
    with Stalling(server.port) as proxy:
        tab = chromium.open(site.add(through(proxy, "offline", chance=0.99)))
        tab.until("connected()", show="journals")
        # Chromium's offline mode lets a response that is being read go on. A cable that is pulled does not.
        proxy.stall()
        chromium.context.set_offline(True)
        tab.until("!navigator.onLine")
        server.pushed("offline", "unheard")
        chromium.context.set_offline(False)
        back = tab.evaluate("Date.now()")
        tab.until(f"connected() && {all_got(1)}", 5, show="journals")
        for transport in TRANSPORTS:
            assert tab.evaluate(f"journals.{transport}.got") == [["offline", "unheard"]]
            assert tab.evaluate(f"journals.{transport}.gaps") == []
            states = tab.evaluate(f"journals.{transport}.states")
            assert states[-1][0] == "connected"
            assert states[-1][2] - back < 1000, (transport, states)


@pytest.fixture
def window(tmp_path: Path) -> Iterator[PlainChromium]:
    window = PlainChromium(tmp_path)
    yield window
    window.close()


@pytest.mark.parametrize("cut", [False, True], ids=["connections last", "connections are cut meanwhile"])
def test_frozen_page_gets_missed_pushes_once(server: Server, site: Site, window: PlainChromium, cut: bool):
    lives = "var later = 0, lives = []; { const now = Date.now; Date.now = () => now() + later; }"
    lives += " for (const name of ['freeze', 'resume', 'visibilitychange'])"
    lives += " document.addEventListener(name, () => lives.push(name));"
    with Stalling(server.port) as proxy:
        page = window.behind
        page.command("Page.bringToFront")
        page.open(site.add(through(proxy, "frozen", chance=0.05, before=lives)))
        page.until("connected()", show="journals")
        window.front.command("Page.bringToFront")
        page.until("document.hidden")
        page.freeze(frozen=True)
        page.until("lives.includes('freeze')", show="lives")
        texts = [["frozen", str(number)] for number in range(50)]
        for text in texts:
            server.pushed(*text)
        if cut:
            proxy.cut()
        # DevTools still looks into the page, in which nothing happens.
        assert page.evaluate("Object.values(journals).map(({got}) => got.length)") == [0, 0, 0]
        assert page.evaluate("lives") == ["visibilitychange", "freeze"]
        page.evaluate("later = 60_000")  # a minute passes, or a night
        page.freeze(frozen=False)
        page.command("Page.bringToFront")
        page.until(f"connected() && {all_got(50)}", 5, show="journals")
        for transport in TRANSPORTS:
            assert page.evaluate(f"journals.{transport}.got") == texts, transport
            assert page.evaluate(f"journals.{transport}.gaps") == [], transport
