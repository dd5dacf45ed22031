"""The examples that are whole apps, each with its own back end, in a browser."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.apps import EXAMPLES, ROOT, App, running
from tests.browser.test_life import listeners
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, eventually


def copied(name: str, folder: Path, server: Server) -> Path:
    """Copy an example that needs no build. Its pages load the client from this server."""
    copy = shutil.copytree(EXAMPLES / name, folder / "examples" / name)
    (folder / "sdk").symlink_to(ROOT / "sdk")
    for page in copy.rglob("*.html"):
        page.write_text(page.read_text().replace("http://localhost:8081", f"http://127.0.0.1:{server.port}"))
    return copy


@pytest.fixture
def account(server: Server) -> dict[str, str]:
    return {"COMETIFY_URL": f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"}


def loading(page: Page, url: str, meanwhile: Callable[[], None]) -> None:
    """Let a request of the page be answered, and do something before the page gets the answer."""

    def answer(route: Route) -> None:
        response = route.fetch()
        meanwhile()
        route.fulfill(response=response)

    page.route(url, answer, times=1)


def opened(context: BrowserContext, app: App, server: Server) -> Page:
    """Open a page, and wait until the server has its listener."""
    before = listeners(server)
    page = context.new_page()
    page.goto(app.url)
    eventually(lambda: listeners(server) == before + 1)
    return page


@pytest.fixture
def comments(tmp_path: Path, server: Server, account: dict[str, str]) -> Iterator[App]:
    folder = copied("comments", tmp_path, server)
    with running(folder, lambda port: ["php", "-S", f"127.0.0.1:{port}", "-t", "public"], account) as app:
        yield app


def comment(app: App, text: str) -> None:
    assert app.post("comments.php", {"text": text}) == 204


def test_comments_reach_all_pages_once(context: BrowserContext, server: Server, comments: App):
    first = opened(context, comments, server)
    first.locator("input").fill("<b>one</b>")
    first.locator("button").click()
    expect(first.locator("li")).to_have_text(["<b>one</b>"])
    second = context.new_page()
    loading(second, "**/comments.php", lambda: comment(comments, "while it loads"))
    second.goto(comments.url)
    shown = ["<b>one</b>", "while it loads"]
    for page in (first, second):
        expect(page.locator("li")).to_have_text(shown)
    server.stop()
    comment(comments, "while the server is away")
    server.start()
    shown.append("while the server is away")
    for page in (first, second):  # the server is empty now, so the pages are told a gap
        expect(page.locator("li")).to_have_text(shown)
    comment(comments, "after it")
    for page in (first, second):
        expect(page.locator("li")).to_have_text([*shown, "after it"])


@pytest.fixture
def dashboard(tmp_path: Path, examples: Path, account: dict[str, str]) -> Iterator[App]:
    folder = examples / "dashboard"
    with running(folder, lambda _port: ["node", "server.js"], account) as app:
        yield app


def measure(app: App, **values: int) -> None:
    assert app.post_json("metrics", values) == 204


def test_dashboard_shows_every_metric_as_it_changes(context: BrowserContext, server: Server, dashboard: App):
    every = {f"metric_{number}": number for number in range(20)}
    measure(dashboard, **every)
    page = context.new_page()
    loading(page, "**/metrics", lambda: measure(dashboard, metric_3=33))
    page.goto(dashboard.url)
    values = page.locator("dd")
    expect(values).to_have_text([str(33 if number == 3 else number) for number in range(20)])
    for step in range(100, 110):
        measure(dashboard, **{name: step + number for name, number in every.items()})
    expect(values).to_have_text([str(109 + number) for number in range(20)])
    server.stop()
    expect(page.locator("#state")).not_to_have_text("connected")
    measure(dashboard, metric_0=1)  # nobody hears of it
    server.start()
    expect(values.first).to_have_text("1")
    expect(page.locator("#state")).to_have_text("connected")
    measure(dashboard, metric_19=2)
    expect(values.last).to_have_text("2")
