"""The examples that are whole apps, each with its own back end, in a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.apps import App, account_of, copied, faults, loading, running
from tests.browser.test_life import listeners
from tests.conftest import Server
from tests.wire import eventually


def opened(context: BrowserContext, app: App, server: Server) -> Page:
    """Open a page, and wait until the server has its listener."""
    before = listeners(server)
    page = context.new_page()
    page.goto(app.url)
    eventually(lambda: listeners(server) == before + 1)
    return page


@pytest.fixture
def comments(tmp_path: Path, server: Server) -> Iterator[App]:
    folder = copied("comments", tmp_path, server)
    command = ["php", "-t", "public", "-S"]
    with running(App(folder, lambda port: [*command, f"127.0.0.1:{port}"], account_of(server))) as app:
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
def dashboard(examples: Path, server: Server) -> Iterator[App]:
    app = App(examples / "dashboard", lambda _port: ["node", "server.js"], account_of(server))
    with running(app):
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


def test_fault_of_an_app_is_found_in_its_log():
    log = "".join(
        f'Traceback (most recent call last):\n  File "app.py", line 1, in <module>\n    1 / 0\n\n{error}\nGET / 200\n'
        for error in (
            "BrokenPipeError: [Errno 32] Broken pipe",
            "KeyError: 'text'",
            "ConnectionResetError: [Errno 104]",
        )
    )
    assert faults(log + "PHP Warning: x") == ["KeyError: 'text'", "PHP Warning"]
