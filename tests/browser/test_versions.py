"""A page and a server of different versions: the first client with this server, and this client with the first server.

A page stays open over an upgrade of its server, and a server stays behind a page whose client comes from elsewhere. The
first version is in versions/, without its page and its source maps.
"""

import json
import os
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import cometify
from tests.browser.conftest import Everywhere
from tests.browser.engine import ENGINES, HEARTBEAT, Engine, Tab
from tests.browser.proxy import Cutting
from tests.browser.site import Site, listens, page_with_client
from tests.browser.test_chaos import NAMES
from tests.browser.test_life import listeners
from tests.browser.visitor import TRANSPORTS
from tests.conftest import PLAIN_TWISTD, Server, assert_clean
from tests.wire import eventually, jwt, secure_key

FIRST = Path(__file__).parent / "versions" / "server-0.1.0-first.zip"
NOW = Path(cometify.__file__).parent


class Pair(NamedTuple):
    """The package of a server, and that of the client."""

    server: Path
    client: Path


TAC = """\
from twisted.application.service import Application
from cometify.options import Options
from cometify.service import makeService

options = Options()
options.parseOptions([])
application = Application("cometify")
makeService(options).setServiceParent(application)
"""


class OldServer(Server):
    """A server whose package is in the folder of the test. The plugin of the installed package would not find it."""

    twistd = PLAIN_TWISTD
    service = ("-y", "first.tac")

    def start(self) -> Server:
        (self.folder / "first.tac").write_text(TAC)
        return super().start()

    @property
    def python_path(self) -> str:  # type: ignore[override]
        return os.pathsep.join([str(self.folder.parent / "first"), super().python_path])


@pytest.fixture(params=["first client", "first server"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    with zipfile.ZipFile(FIRST) as packed:
        packed.extractall(tmp_path / "first")
    first = tmp_path / "first" / "cometify"
    return Pair(NOW, first) if request.param == "first client" else Pair(first, NOW)


@pytest.fixture
def server(pair: Pair, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "server"
    folder.mkdir()
    options: dict[str, Any] = {"drain": 1, "heartbeat": HEARTBEAT}
    if pair.server is NOW:
        server = Server(folder, options, {})
    else:
        server = OldServer(folder, options | {"connections_per_ip": None}, {})
    yield server.start()
    server.stop()
    assert_clean(server.log.read_text())


@pytest.fixture
def add_page(pair: Pair, server: Server, site: Site) -> Callable[..., str]:
    """add_page(*statements): the URL of a page with the client. `chance`: see `journal_page`."""
    client = site.add((pair.client / "static" / "cometify.min.js").read_text(), "js")

    def add_page(*statements: str, chance: float = 0) -> str:
        return site.add(page_with_client(client, *statements, chance=chance))

    return add_page


def all_listens(server: Server, identifiers: Any, **options: Any) -> list[str]:
    """A listener on each transport."""
    url = f"http://127.0.0.1:{server.port}"
    return [listens(identifiers, name, transports=[name], server=url, **options) for name in TRANSPORTS]


def until_all(tab: Tab, count: int) -> None:
    tab.until(f"Object.values(journals).every(({{got}}) => got.length >= {count})", 20, show="journals")


def test_server_is_of_the_version_that_is_meant(pair: Pair, server: Server):
    script = server.request("GET", "/latest/cometify.min.js").body
    assert script == (pair.server / "static" / "cometify.min.js").read_bytes()
    assert script != (pair.client / "static" / "cometify.min.js").read_bytes()


def test_pushes_arrive_once_in_order_over_cuts(pair: Pair, server: Server, add_page, everywhere: Everywhere):
    with ExitStack() as stack:
        boxes = {
            name: stack.enter_context(Cutting(server.port, seed=at, most=8_000)) for at, name in enumerate(TRANSPORTS)
        }
        for box in boxes.values():
            box.cutting = False
        statements = [
            listens(NAMES, name, server=f"http://127.0.0.1:{box.port}", transports=[name])
            for name, box in boxes.items()
        ]
        tabs = everywhere(add_page(*statements))
        for tab in tabs.values():
            tab.until("connected()", show="journals")
        for box in boxes.values():
            box.cutting = True
        pushes = [[NAMES[number % 3], str(number)] for number in range(600)]
        for name, text in pushes:
            server.pushed(name, text)
        for engine, tab in tabs.items():
            until_all(tab, len(pushes))
            for name in TRANSPORTS:
                assert tab.evaluate(f"journals.{name}.got") == pushes, (engine, name)
                assert tab.evaluate(f"journals.{name}.gaps") == [], (engine, name)
        assert all(box.cuts >= 3 for box in boxes.values())


def test_pages_return_with_the_server_and_hear_of_the_gap(pair: Pair, server: Server, add_page, everywhere: Everywhere):
    # Nine listeners that try again at once and for ever leave a server hardly any time to start.
    tabs = everywhere(add_page(*all_listens(server, NAMES), chance=0.05))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    server.pushed("one", "before")
    for tab in tabs.values():
        until_all(tab, 1)
    server.stop(signal.SIGKILL)
    server.start()
    server.pushed("two", "after")
    for tab in tabs.values():
        until_all(tab, 2)
        for name in TRANSPORTS:
            assert tab.evaluate(f"journals.{name}.got") == [["one", "before"], ["two", "after"]]
            assert [sorted(gap) for gap in tab.evaluate(f"journals.{name}.gaps")] == [sorted(NAMES)]


def test_keys_tokens_and_internal_ids_work(pair: Pair, server: Server, add_page, everywhere: Everywhere):
    server.pushed("news", "old", push_id=7)
    server.pushed("news", "new", push_id=8)
    with_key = all_listens(server, {"news": 7}, secureKey=secure_key("news"))
    tabs = everywhere(add_page(*with_key))
    with_token = everywhere(
        add_page(*all_listens(server, ["Orders"], token=jwt({"exp": time.time() + 600, "identifiers": ["orders"]})))
    )
    for tab in (*tabs.values(), *with_token.values()):
        tab.until("connected()", show="journals")
    server.pushed("news", "secret", secret=1, push_id=9)
    server.pushed("orders", "for the token", secret=1)
    for tab in tabs.values():
        until_all(tab, 2)
        assert {str(tab.evaluate(f"journals.{name}.got")) for name in TRANSPORTS} == {
            str([["news", "new"], ["news", "secret"]])
        }
    for tab in with_token.values():
        until_all(tab, 1)
        assert {str(tab.evaluate(f"journals.{name}.got")) for name in TRANSPORTS} == {
            str([["Orders", "for the token"]])
        }


def test_renewed_tokens_lose_no_secret_push(pair: Pair, server: Server, add_page, everywhere: Everywhere):
    now = time.time()
    # The page takes one that has at least six seconds left, as a back end would give it, and asks again after half of them.
    ends = [now + 8 + 4 * number for number in range(10)]
    tokens = [[end, jwt({"exp": end, "identifiers": ["orders"]})] for end in ends]
    give = f"() => ({json.dumps(tokens)}.find(([end]) => end > Date.now() / 1000 + 6) || [])[1]"
    statements = [line.replace('"TOKEN"', give) for line in all_listens(server, "orders", token="TOKEN")]
    tabs = everywhere(add_page(*statements))
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    texts = []
    while time.time() < now + 13:
        texts.append(f"secret {len(texts)}")
        server.pushed("orders", texts[-1], secret=1)
        time.sleep(0.2)
    for tab in tabs.values():
        until_all(tab, len(texts))
        for name in TRANSPORTS:
            assert [text for _, text in tab.evaluate(f"journals.{name}.got")] == texts
            assert tab.evaluate(f"journals.{name}.gaps") == []


@pytest.fixture(params=ENGINES)
def open_tab(request: pytest.FixtureRequest, _engines: dict[str, Engine]) -> Iterator[Callable[[str], Tab]]:
    """Opens a tab in the engine."""
    opened: list[Tab] = []

    def open_tab(url: str) -> Tab:
        opened.append(_engines[request.param].open(url))
        return opened[-1]

    yield open_tab
    for tab in opened:
        with suppress(Exception):
            tab.close()


def test_tabs_of_both_versions_share_one_listener(server: Server, site: Site, pair: Pair, open_tab):
    pages = []
    for package in (pair.client, pair.server):
        share = site.add((package / "static" / "cometify.share.min.js").read_text(), "js")
        client = site.add((package / "static" / "cometify.min.js").read_text(), "js")
        statement = listens("shared", share=True, server=f"http://127.0.0.1:{server.port}")
        pages.append(site.add(page_with_client(client, f"</script><script src='{share}'></script><script>{statement}")))
    tabs = []
    for page in (*pages, *pages):
        tabs.append(open_tab(page))
        tabs[-1].until("connected()", show="journals")
    texts = []
    while tabs:
        eventually(lambda: listeners(server) == 1)
        texts.append(f"to {len(tabs)}")
        server.pushed("shared", texts[-1])
        for tab in tabs:
            tab.until(f"journals.page.got.length >= {len(texts)}", 20, show="journals")
            assert [text for _, text in tab.evaluate("journals.page.got")] == texts
        tabs.pop(0).close()
