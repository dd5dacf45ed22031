"""The examples for htmx and Datastar: pages with nothing but their own attributes, which hear raw events."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.browser.apps import App, python, running
from tests.browser.conftest import Everywhere
from tests.browser.engine import HEARTBEAT, Tab
from tests.browser.proxy import Proxy
from tests.browser.test_life import listeners
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, eventually

SHOWN = "[...document.querySelectorAll('li')].map((item) => item.textContent)"


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    # The name of Datastar's event has hyphens.
    return make_server(account={"identifiers": "extended"}, drain=1, heartbeat=HEARTBEAT)


@pytest.fixture
def line(server: Server) -> Iterator[Proxy]:
    """The line between the pages and the server, which can be cut."""
    with Proxy(server.port) as proxy:
        yield proxy


@attrs.frozen
class Orders:
    """The running back end of an example."""

    app: App
    takes_json: bool

    @property
    def url(self) -> str:
        return self.app.url

    def send(self, text: str) -> None:
        """Send an order as the pages do. It is kept and pushed before the answer comes."""
        send = self.app.post_json if self.takes_json else self.app.post
        assert send("orders", {"text": text}) == 200


@pytest.fixture(params=["htmx", "datastar"])
def app(
    request: pytest.FixtureRequest, tmp_path: Path, examples: Path, server: Server, line: Proxy
) -> Iterator[Orders]:
    folder = shutil.copytree(examples / request.param, tmp_path / request.param)
    page = folder / "index.html"
    page.write_text(page.read_text().replace("http://localhost:8081", f"http://127.0.0.1:{line.port}"))
    there = {"COMETIFY": f"http://127.0.0.1:{server.port}/{API_KEY}", "COMETIFY_SECRET": API_SECRET}
    there["COMETIFY_FOR_PAGES"] = f"http://127.0.0.1:{line.port}/{API_KEY}"
    with running(App(folder, lambda port: python("app.py", str(port)), there)) as app:
        yield Orders(app, takes_json=request.param == "datastar")


def order(tab: Tab, text: str) -> None:
    """Write an order into the page and send it, as a visitor does."""
    tab.evaluate(
        f"(() => {{ const box = document.querySelector('input'); box.value = {text!r};"
        " box.dispatchEvent(new Event('input', {bubbles: true}));"
        " box.dispatchEvent(new Event('change', {bubbles: true}));"
        " document.querySelector('button').click(); })()"
    )


def shows(tabs: dict[str, Tab], *texts: str) -> None:
    """Wait until each tab shows so many orders. They must be exactly these."""
    for tab in tabs.values():
        tab.until(f"{SHOWN}.length >= {len(texts)}", 20, show=SHOWN)
        assert tab.evaluate(SHOWN) == list(texts)


def test_pages_show_the_orders_of_each_other(app: Orders, server: Server, line: Proxy, everywhere: Everywhere):
    tabs = everywhere(app.url)
    first, *_others = tabs.values()
    eventually(lambda: listeners(server) == len(tabs))
    order(first, "one & <b>")
    shows(tabs, "one & <b>")
    line.cut()
    order(first, "while the line is cut")
    shows(tabs, "one & <b>", "while the line is cut")
    server.stop()
    server.start()
    order(first, "after a restart")
    expected = ["one & <b>", "while the line is cut", "after a restart"]
    shows(tabs, *expected)
    # New pages show all orders without a push.
    shows(everywhere(app.url), *expected)


@pytest.mark.parametrize("interrupt", [Proxy.hold_back, Proxy.break_off], ids=["held", "cut"])
def test_pages_miss_no_order_while_they_load(
    app: Orders, line: Proxy, everywhere: Everywhere, interrupt: Callable[[Proxy], None]
):
    app.send("before")
    interrupt(line)
    tabs = everywhere(app.url)
    shows(tabs, "before")
    app.send("between")
    line.restore()
    shows(tabs, "before", "between")


def test_pages_load_their_orders_after_a_gap(app: Orders, server: Server, line: Proxy, everywhere: Everywhere):
    tabs = everywhere(app.url)
    eventually(lambda: listeners(server) == len(tabs))
    line.break_off()
    app.send("pushed to nobody")
    # The server's memory is empty now, so no page can be sent the push.
    server.stop()
    server.start()
    line.restore()
    shows(tabs, "pushed to nobody")
