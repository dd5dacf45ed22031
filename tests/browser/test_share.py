"""Many tabs of one origin: with `share` they are one listener on the server, and without it each is one of its own."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.browser.conftest import Everywhere
from tests.browser.engine import ENGINES, HEARTBEAT, Engine, Tab
from tests.browser.site import Site, journal_page, listens
from tests.browser.test_life import listeners
from tests.conftest import Server
from tests.wire import eventually

TABS = 8


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(heartbeat=HEARTBEAT)


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


def all_hear(tabs: list[Tab], texts: list[str]) -> None:
    for number, tab in enumerate(tabs):
        tab.until(f"journals.page.got.length >= {len(texts)}", 20, show="journals")
        assert [text for _, text in tab.evaluate("journals.page.got")] == texts, number
        assert tab.evaluate("journals.page.gaps") == []


def test_sharing_tabs_survive_the_loss_of_the_leader(server: Server, site: Site, open_tab: Callable[[str], Tab]):
    url = site.add(journal_page(server.port, listens("shared", share=True)))
    tabs = []
    for _ in range(TABS):
        tabs.append(open_tab(url))
        tabs[-1].until("connected()", show="journals")  # the first leads, and each waits for its turn
    texts: list[str] = []

    def push(text: str) -> None:
        texts.append(text)
        server.pushed("shared", text)

    eventually(lambda: listeners(server) == 1)
    push("to eight")
    all_hear(tabs, texts)
    for end in ("first", "second"):
        push(f"before the {end} end")
        tabs.pop(0).close()
        push(f"after the {end} end")
        all_hear(tabs, texts)
        push(f"long after the {end} end")
        all_hear(tabs, texts)
        eventually(lambda: listeners(server) == 1)


def test_tabs_without_sharing_are_eight_listeners(server: Server, site: Site, everywhere: Everywhere):
    url = site.add(journal_page(server.port, listens("own")))
    every = [everywhere(url) for _ in range(TABS)]
    tabs = [tab for tabs in every for tab in tabs.values()]
    for tab in tabs:
        tab.until("connected()", show="journals")
    eventually(lambda: listeners(server) == len(tabs))
    server.pushed("own", "to each")
    all_hear(tabs, ["to each"])
