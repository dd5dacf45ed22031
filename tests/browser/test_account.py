"""The page at /account, as the holder of an account's token opens it."""

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from cometify.core.account_token import make_account_token
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET


def token(secret: str = API_SECRET, lasts: int = 600) -> str:
    return make_account_token(secret, API_KEY, int(time.time()) + lasts, int(time.time()))


@pytest.fixture
def opened(server: Server, context: BrowserContext) -> Iterator[Callable[[str], Page]]:
    """opened(fragment): the page. It may write no error other than those of refused requests."""
    errors: list[str] = []

    def open_page(fragment: str = "") -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{error}"))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.goto(f"http://127.0.0.1:{server.port}/account{fragment}")
        return page

    yield open_page
    assert [error for error in errors if "status of 403" not in error] == []


def test_token_of_the_address_is_taken_away_and_shows_the_account(server: Server, opened: Callable[[str], Page]):
    with server.websocket("identifiers=seen_by_owner") as listener:
        listener.joined()
        server.pushed("seen_by_owner", "<b>never shown</b>")
        page = opened(f"#{token()}")
        expect(page.locator("#key")).to_have_text(API_KEY)
        expect(page.locator("#days tr")).to_have_count(31)
        expect(page.locator("#secrets")).to_have_text("newest")
        assert page.url == f"http://127.0.0.1:{server.port}/account"
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        today = page.locator("#days tr").first
        assert int(today.locator("td").first.inner_text().replace(",", "")) >= 1
        row = page.locator("#identifiers tr", has_text="seen_by_owner")
        expect(row.locator("td").first).to_have_text("1")
    assert "never shown" not in page.content()
    assert API_SECRET not in page.content()
    page.go_back()
    assert "eyJ" not in page.url


def test_token_is_entered_and_forgotten(opened: Callable[[str], Page]):
    page = opened("")
    expect(page.locator("#enter")).to_be_visible()
    page.fill("#token", "no token")
    page.press("#token", "Enter")
    expect(page.locator("#told")).to_contain_text("not the token of an account")
    page.fill("#token", f" {token()} ")
    page.click("#enter button")
    expect(page.locator("#account")).to_be_visible()
    expect(page.locator("#told")).to_be_hidden()
    page.click("#leave")
    expect(page.locator("#account")).to_be_hidden()
    expect(page.locator("#days tr")).to_have_count(0)
    expect(page.locator("#token")).to_have_value("")


def test_refused_token_is_told_with_the_reason(opened: Callable[[str], Page]):
    for wrong in (token("another secret"), token(lasts=-5)):
        page = opened(f"#{wrong}")
        expect(page.locator("#told")).to_contain_text("The token is not accepted")
        expect(page.locator("#enter")).to_be_visible()


def test_identifiers_are_searched_and_paged(server: Server, opened: Callable[[str], Page]):
    for number in range(105):
        server.pushed(f"owned_{number:03}", "x")
    page = opened(f"#{token()}")
    page.fill("#prefix", "Owned_")
    page.press("#prefix", "Enter")
    expect(page.locator("#identifiers tr")).to_have_count(100)
    page.click("#more")
    expect(page.locator("#identifiers tr")).to_have_count(105)
    expect(page.locator("#more")).to_be_hidden()
    page.fill("#prefix", "nothing_like_it")
    page.press("#prefix", "Enter")
    expect(page.locator("#identifiers")).to_have_text("No identifier in use begins so.")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_its_window(opened: Callable[[str], Page], width: int, scheme: str):
    page = opened(f"#{token()}")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    expect(page.locator("#days tr")).to_have_count(31)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
