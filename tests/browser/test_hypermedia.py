"""The examples for htmx and Datastar: pages with nothing but their own attributes, which hear raw events."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.rig.ports import free_ports
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


@pytest.fixture(params=["htmx", "datastar"])
def app(request: pytest.FixtureRequest, examples: Path, server: Server, line: Proxy) -> Iterator[str]:
    """The URL of the running back end of an example."""
    folder = examples / request.param
    page = folder / "index.html"
    page.write_text(page.read_text().replace("http://localhost:8081", f"http://127.0.0.1:{line.port}"))
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    there = {"COMETIFY": f"http://127.0.0.1:{server.port}/{API_KEY}", "COMETIFY_SECRET": API_SECRET}
    there["COMETIFY_FOR_PAGES"] = f"http://127.0.0.1:{line.port}/{API_KEY}"
    with (
        (folder / "app.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, str(folder / "app.py"), str(port)], env={**os.environ, **there}, stdout=log, stderr=log
        ) as process,
    ):
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            yield f"{url}/"
        finally:
            process.terminate()
    assert "Traceback" not in (folder / "app.log").read_text()


def order(tab: Tab, text: str) -> None:
    """Write an order into the page and send it, as a visitor does."""
    tab.evaluate(
        f"(() => {{ const box = document.querySelector('input'); box.value = {text!r};"
        " box.dispatchEvent(new Event('input', {bubbles: true}));"
        " box.dispatchEvent(new Event('change', {bubbles: true}));"
        " document.querySelector('button').click(); })()"
    )


def test_pages_show_the_orders_of_each_other(app: str, server: Server, line: Proxy, everywhere: Everywhere):
    tabs = everywhere(app)

    def all_show(texts: list[str]) -> None:
        for tab in tabs.values():
            tab.until(f"{SHOWN}.length >= {len(texts)}", 20, show=SHOWN)
            assert tab.evaluate(SHOWN) == texts

    first, *_others = tabs.values()
    eventually(lambda: listeners(server) == len(tabs))
    order(first, "one & <b>")
    all_show(["one & <b>"])
    line.cut()
    order(first, "while the line is cut")
    all_show(["one & <b>", "while the line is cut"])
    server.stop()
    server.start()
    order(first, "after a restart")
    all_show(["one & <b>", "while the line is cut", "after a restart"])
