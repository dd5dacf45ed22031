"""The inspector's page, as an operator opens it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.conftest import Server
from tests.wire import API_KEY


@pytest.fixture
def page(server: Server, context: BrowserContext) -> Iterator[Page]:
    errors: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(f"{error}"))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    page.goto(f"http://127.0.0.1:{server.admin_port}/")
    yield page
    assert errors == []


def test_listeners_are_shown_and_kept_up_to_date(server: Server, page: Page):
    with server.websocket("identifiers=inspected,other") as listener:
        listener.joined()
        row = page.locator("#identifiers tr", has_text="inspected")
        expect(row.locator("td").nth(2)).to_have_text("1")
        with server.stream("identifiers=inspected") as another:
            another.joined()
            expect(row.locator("td").nth(2)).to_have_text("2")
            server.pushed("inspected", "<b>nobody else</b>", push_id=7)
            row.locator("a").click()
            expect(page.locator("#name")).to_have_text(f"inspected of {API_KEY}")
            expect(page.locator("#listeners tr")).to_have_count(2)
            expect(page.locator("#listeners")).to_contain_text("inspected, other")
            expect(page.locator("#pushes td").nth(2)).to_have_text("7")
        expect(page.locator("#listeners tr")).to_have_count(1)
    expect(page.locator("#listeners")).to_have_text("Nobody listens to it.")
    assert "nobody else" not in page.content()


def test_identifier_is_searched_by_name(server: Server, page: Page):
    server.pushed("lonely", "x")
    page.fill("[name=account]", API_KEY)
    page.fill("[name=identifier]", "Lonely")
    page.click("button")
    expect(page.locator("#name")).to_have_text(f"lonely of {API_KEY}")
    expect(page.locator("#kept")).to_contain_text("1 pushes kept")
    page.go_back()
    expect(page.locator("#overview")).to_be_visible()


def test_invalid_identifier_is_told(server: Server, context: BrowserContext):
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{server.admin_port}/#account=1&identifier=a+b")
    expect(page.locator("#state")).to_contain_text("identifier")
    expect(page.locator("#state")).to_have_class("bad")
