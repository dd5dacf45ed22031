"""Three real browsers for all, fresh pages for each test, and a site of another origin for pages that listen."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, expect, sync_playwright

from tests.browser.chromium import Chromium, launch
from tests.browser.engine import Engine, Tab, find
from tests.browser.firefox import Firefox
from tests.browser.site import Site
from tests.browser.visitor import Visitor
from tests.browser.webkit import WebKit
from tests.lag import SchedulingLag

expect.set_options(timeout=60_000)  # a busy machine, and pages that wait before they connect again


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext) -> Callable[..., Visitor]:
    """visit(url, transport): a new page goes there, and has joined on that transport."""

    def visit(url: str, transport: str | None = None) -> Visitor:
        return Visitor(context.new_page()).open(url, transport)

    return visit


@pytest.fixture(scope="session")
def _engines(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """All of them; they start side by side."""
    with ExitStack() as stack:
        engines: dict[str, Engine] = {}
        for make in (lambda: Firefox(tmp_path_factory.mktemp("firefox")), WebKit, lambda: Chromium(browser)):
            engine = make()
            stack.callback(engine.close)
            engines[engine.name] = engine
        for engine in engines.values():
            engine.start()
        yield engines


Everywhere = Callable[[str | dict[str, str]], dict[str, Tab]]


@pytest.fixture
def everywhere(_engines: dict[str, Engine]) -> Iterator[Everywhere]:
    """everywhere(url): a new tab in each engine, by its name, which has loaded the page. `url` may differ by engine."""
    opened: list[Tab] = []

    def everywhere(url: str | dict[str, str]) -> dict[str, Tab]:
        tabs: dict[str, Tab] = {}
        for name, engine in _engines.items():
            tabs[name] = engine.open(url if isinstance(url, str) else url[name])
            opened.append(tabs[name])
        return tabs

    yield everywhere
    for tab in opened:
        tab.close()


@pytest.fixture
def chromium(browser: Browser) -> Iterator[Chromium]:
    """A profile of Chromium that is this test's own."""
    chromium = Chromium(browser)
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def lag() -> Iterator[SchedulingLag]:
    """The lag of the machine during the test, which promises in seconds are held with."""
    with SchedulingLag() as lag:
        yield lag


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built examples."""
    folder = tmp_path_factory.mktemp("examples")
    script = next(found for up in Path(__file__).parents if (found := up / "js/scripts/examples.mjs").exists())
    subprocess.run([find("nodejs", "node"), str(script), str(folder)], check=True, timeout=120)
    return folder
