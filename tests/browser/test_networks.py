"""Bad networks: each middle box stands between the page and the server for everything, the page's script too. Each test says
within how many seconds from its start a page has its push, on a machine without lag.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.browser.boxes import Buffering, Failing, HAProxy, Impatient, KillingWebSocket, Nginx, NoWebSocket, Turning
from tests.browser.conftest import Everywhere
from tests.browser.engine import ENGINES, HEARTBEAT, Tab
from tests.browser.site import Site, journal_page, listens
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server
from tests.lag import SchedulingLag
from tests.wire import eventually


def transports_tried(tab: Tab) -> list[str]:
    """The transports that were connected to or tried, in order, the same one after itself left out."""
    tried: list[str] = []
    for _, transport, _ in tab.evaluate("journals.page.states"):
        if tried[-1:] != [transport]:
            tried.append(transport)
    return tried


def seconds_to_first(tab: Tab) -> float:
    """From the start of the listener to its first push."""
    return tab.evaluate("journals.page.first") / 1000


class Network(NamedTuple):
    """A box, the transports that a page tries through it, the last being the one that it stays with, and within how many
    seconds it has its push. `before`: what the page's browser is made to lack.
    """

    box: Callable[[int, Path], AbstractContextManager[Any]]
    tried: list[str]
    seconds: float
    before: str = ""

    def bound(self, engine: str) -> float:
        return self.seconds + (held(engine) if self.tried[-1] == "stream" else 0)


def held(engine: str) -> float:
    """Most seconds that the browser itself may hold back bytes of a stream."""
    return HEARTBEAT if engine == "webkit" else 0


NETWORKS = {
    "nginx that is set to nothing but where to": Network(
        lambda port, folder: Nginx(port, folder / "nginx"), ["websocket", "stream"], 2
    ),
    "nginx that compresses everything": Network(
        lambda port, folder: Nginx(port, folder / "nginx", "gzip on; gzip_types *; gzip_proxied any;"),
        ["websocket", "stream"],
        2,
    ),
    "HAProxy": Network(lambda port, folder: HAProxy(port, folder / "haproxy"), ["websocket"], 2),
    "a proxy that knows no upgrades": Network(lambda port, _: NoWebSocket(port), ["websocket", "stream"], 2),
    "a proxy that buffers responses for ever": Network(
        lambda port, _: Buffering(port), ["websocket", "stream", "poll"], 5 + 2
    ),
    "no WebSocket": Network(
        lambda port, _: NoWebSocket(port), ["websocket", "stream"], 2, "delete window.WebSocket;"
    ),
    "a WebSocket that throws": Network(
        lambda port, _: NoWebSocket(port),
        ["websocket", "stream"],
        2,
        "window.WebSocket = function () { throw new Error('forbidden'); };",
    ),
    "a WebSocket that is dead": Network(
        lambda port, _: NoWebSocket(port),
        ["websocket", "stream"],
        5 + 2,
        "window.WebSocket = class extends EventTarget { send() {} close() {} };",
    ),
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_page_gets_its_pushes_through(
    make_server: Callable[..., Server],
    site: Site,
    everywhere: Everywhere,
    tmp_path: Path,
    lag: SchedulingLag,
    network: Network,
):
    server = make_server(heartbeat=HEARTBEAT)
    server.pushed("net", "early")
    with network.box(server.port, tmp_path) as box:
        tabs = everywhere(site.add(journal_page(box.port, listens({"net": 0}), before=network.before)))
        for engine, tab in tabs.items():
            tab.until("journals.page.got.length >= 1", show="journals")
            assert seconds_to_first(tab) < network.bound(engine) + lag.seconds, engine
        pushed = time.monotonic()
        server.pushed("net", "live")
        for engine, tab in tabs.items():
            tab.until("journals.page.got.length >= 2", show="journals")
            assert time.monotonic() - pushed < held(engine) + 1 + lag.seconds, engine
            assert tab.evaluate("journals.page.got") == [["net", "early"], ["net", "live"]], engine
            assert transports_tried(tab) == network.tried, engine
            # The server's memory is younger than the ten minutes that were asked for: that is told, and once.
            assert tab.evaluate("[journals.page.gaps, journals.page.listener.state]") == [[["net"]], "connected"], (
                engine
            )


def test_page_leaves_a_websocket_that_is_killed_early(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, lag: SchedulingLag
):
    server = make_server(heartbeat=HEARTBEAT)
    with KillingWebSocket(server.port) as box:
        # Between the three attempts a page waits for half a second and for one.
        tabs = everywhere(site.add(journal_page(box.port, listens("killed"), chance=0.5)))
        for tab in tabs.values():
            tab.until("journals.page.states.some(([state]) => state === 'connected')", show="journals")
        texts = []
        while any(tab.evaluate("journals.page.listener.transport") == "websocket" for tab in tabs.values()):
            texts.append(["killed", f"number {len(texts)}"])
            server.pushed(*texts[-1])
            assert len(texts) < 5000
        texts.append(["killed", "some other way"])
        server.pushed(*texts[-1])
        for engine, tab in tabs.items():
            tab.until(f"journals.page.got.length >= {len(texts)}", show="journals.page.states")
            assert tab.evaluate("journals.page.got") == texts, engine
            assert transports_tried(tab) == ["websocket", "stream"], engine
            states = tab.evaluate("journals.page.states")
            settled = next(at for state, transport, at in states if state == "connected" and transport != "websocket")
            assert (settled - states[0][2]) / 1000 < 5 + lag.seconds, engine
        assert box.killed >= 3 * len(tabs)


def test_page_survives_connections_cut_at_10_seconds(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, lag: SchedulingLag
):
    server = make_server(heartbeat=HEARTBEAT)
    with Impatient(server.port, 10) as box:
        statements = [listens("cut", transport, transports=[transport]) for transport in TRANSPORTS]
        began = time.monotonic()
        tabs = everywhere(site.add(journal_page(box.port, *statements, chance=0.5)))
        for tab in tabs.values():
            tab.until("connected()", show="journals")
        until = time.monotonic() + 10.5
        count = 0
        while time.monotonic() < until:
            server.pushed("cut", str(count))
            count += 1
            time.sleep(0.25)
        pushed = time.monotonic()
        for engine, tab in tabs.items():
            for transport in TRANSPORTS:
                tab.until(f"journals.{transport}.got.length >= {count}", show=f"journals.{transport}")
                assert time.monotonic() - pushed < held(engine) + 2 + lag.seconds, (engine, transport)
                assert tab.evaluate(f"journals.{transport}.got") == [["cut", str(n)] for n in range(count)]
                assert tab.evaluate(f"journals.{transport}.gaps") == []
            cuts = "journals.{}.states.filter(([state]) => state === 'waiting').length"
            for transport in ("websocket", "stream"):
                # One cut, unless the machine is so slow that 20 seconds have passed.
                assert 1 <= tab.evaluate(cuts.format(transport)) <= (time.monotonic() - began) // 10, engine


def test_page_recovers_from_four_bad_gateways(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere, lag: SchedulingLag
):
    server = make_server(heartbeat=HEARTBEAT)
    server.pushed("gateway", "early")
    with ExitStack() as stack:
        boxes = {engine: stack.enter_context(Failing(server.port, 4)) for engine in ENGINES}
        urls = {
            engine: site.add(
                journal_page(server.port, listens({"gateway": 0}, server=f"http://127.0.0.1:{box.port}"), chance=0.9)
            )
            for engine, box in boxes.items()
        }
        for engine, tab in everywhere(urls).items():
            tab.until("journals.page.got.length >= 1", show="journals")
            assert seconds_to_first(tab) < held(engine) + 4 + lag.seconds, engine
            assert tab.evaluate("journals.page.errors") == ["unreachable"], engine
        assert [box.left for box in boxes.values()] == [0, 0, 0]


def test_page_leaves_websocket_once_it_is_blocked(
    make_server: Callable[..., Server], site: Site, everywhere: Everywhere
):
    server = make_server(heartbeat=HEARTBEAT)
    later = "window.later = 0; { const now = Date.now; Date.now = () => now() + window.later; }"
    with Turning(server.port) as box:
        tabs = everywhere(site.add(journal_page(box.port, listens("turned"), before=later)))
        for tab in tabs.values():
            tab.until("connected()", show="journals")
            tab.evaluate("window.later = 6000")  # long enough for the WebSocket to have proven itself
        server.pushed("turned", "by WebSocket")
        for tab in tabs.values():
            tab.until("journals.page.got.length >= 1", show="journals")
        box.turn()
        server.pushed("turned", "some other way")
        for engine, tab in tabs.items():
            tab.until("journals.page.got.length >= 2", show="journals")
            assert tab.evaluate("journals.page.got") == [["turned", "by WebSocket"], ["turned", "some other way"]]
            assert transports_tried(tab) == ["websocket", "stream"], engine
        eventually(lambda: box.refused >= 3)
