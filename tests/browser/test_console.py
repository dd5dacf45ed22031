"""The console's page, as an operator opens it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET

VIEWS = ("overview", "accounts", f"identifiers?account={API_KEY}", f"identifier?account={API_KEY}&identifier=seen",
         "refusals", "check", "nodes")  # fmt: skip

AXE = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes.map(({html}) => html)]))"


def watched(page: Page, errors: list[str]) -> Page:
    """Note whatever goes wrong on a page, such as a breach of its policy."""
    page.on("pageerror", lambda error: errors.append(f"{error}"))
    page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
    return page


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    errors: list[str] = []
    yield watched(context.new_page(), errors)
    assert errors == []


def show(server: Server, page: Page, view: str) -> None:
    page.goto(f"http://127.0.0.1:{server.admin_port}/#{view}")
    expect(page.locator("#state")).to_contain_text("as of")


def test_figures_of_now_and_of_the_last_hour_are_drawn(server: Server, page: Page):
    with server.websocket("identifiers=drawn") as listener:
        listener.joined()
        show(server, page, "overview")
        expect(page.locator(".tile-listeners b")).not_to_have_text("0")
        server.pushed("drawn", "x")
        expect(page.locator("figure", has_text="Pushes").locator("canvas")).to_be_visible()
        plot = page.locator("figure", has_text="Deliveries to listeners").locator(".plot")
        expect(plot).to_have_attribute("aria-label", re.compile("in the last hour, now: written"))
        page.select_option("#of", API_KEY)
        expect(page.locator("#view h2")).to_have_text(f"Overview of {API_KEY}")
        expect(page.locator("figure", has_text="all transports").locator("canvas")).to_be_visible()


def test_texts_are_shown_only_to_who_types_the_secret(server: Server, page: Page):
    server.pushed("tailed", "<b>a private word</b>", secret=1, push_id=7)
    show(server, page, f"identifiers?account={API_KEY}")
    page.fill("[name=prefix]", "Tail")
    page.click("button:has-text('Search')")
    page.click("a:has-text('tailed')")
    expect(page.locator("#view h2")).to_have_text(f"tailed of {API_KEY}")
    expect(page.locator("table", has_text="push_id").locator("tbody td").nth(2)).to_have_text("7")
    assert "private word" not in page.content()
    page.fill("[name=server]", f"http://127.0.0.1:{server.port}")
    page.fill("[name=right]", API_SECRET)
    page.click("button:text-is('Listen')")
    expect(page.locator(".tail pre").first).to_have_text("<b>a private word</b>")
    page.fill("[name=text]", "from the console")
    page.check("[name=secret]")
    page.click("button:text-is('Push')")
    expect(page.locator(".tail pre").first).to_have_text("from the console")
    expect(page.locator("form", has_text="Push").locator("[role=status]").last).to_contain_text("1 listeners")


def test_operator_finds_why_a_request_is_refused(server: Server, page: Page):
    answer = server.request("POST", f"/{API_KEY}/push/seen", b"text=x&secret=0&secure=" + b"0" * 32,
                            {"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert answer.status == 403
    show(server, page, "refusals")
    row = page.locator("tbody tr", has_text="secure does not match")
    expect(row.locator("td").nth(1)).to_have_text(API_KEY)
    page.click("nav a:has-text('Why refused')")
    page.fill("[name=request]", f"POST /{API_KEY}/push/seen HTTP/1.1\n\ntext=x&secret=0&secure={'0' * 32}")
    page.click("button:has-text('Check the request')")
    expect(page.locator("h3", has_text="Refused because of")).to_contain_text("secure")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_every_view_is_accessible_and_fits(server: Server, browser: Browser, width: int, scheme: Any):
    server.pushed("seen", "x")
    # The policy of the page would keep the checker out.
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    errors: list[str] = []
    page = watched(context.new_page(), errors)
    folder = next(found for up in Path(__file__).parents if (found := up / "js/node_modules/axe-core").exists())
    for view in VIEWS:
        show(server, page, view)
        page.add_script_tag(path=folder / "axe.min.js")
        found = page.evaluate(AXE)
        assert found == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        cut = "[...document.querySelectorAll('.plot')].filter((box) => box.scrollWidth > box.clientWidth).length"
        assert page.evaluate(cut) == 0, view
        page.goto("about:blank")
    context.close()
    assert errors == []


def test_account_is_made_suspended_rotated_and_removed(
    make_server: Callable[..., Server], context: BrowserContext, tmp_path: Path
):
    page = context.new_page()  # its console tells of the answers that ask for the token
    token = tmp_path / "token"
    token.write_text("t" * 32)
    token.chmod(0o600)
    server = make_server(accounts=f"sqlite://{tmp_path}/accounts.db", admin_token_file=str(token))
    page.goto(f"http://127.0.0.1:{server.admin_port}/#accounts")
    page.fill("dialog [name=token]", "t" * 32)
    page.click("dialog button")
    page.fill("[name=key]", "shop")
    page.fill("[name=settings]", '{"listeners": 50}')
    page.click("button:text-is('Add')")
    made = page.locator("code").text_content()
    assert made
    assert server.request("GET", "/shop/identifiers", headers={"Authorization": f"Bearer {made}"}).status == 200
    page.locator("tbody tr", has_text="shop").locator("a").first.click()
    expect(page.locator("textarea[name=settings]")).to_have_value(re.compile('"listeners": 50'))
    page.click("button:text-is('Make a second secret')")
    expect(page.locator("#view")).to_contain_text("It has two API secrets")
    assert page.locator("code").text_content() != made
    page.click("button:text-is('Suspend')")
    expect(page.locator("#view")).to_contain_text("It is suspended")
    page.click("button:text-is('Resume')")
    expect(page.locator("#view")).to_contain_text("It is active")
    page.fill("[name=again]", "shop")
    page.click("button:text-is('Remove the account')")
    expect(page.locator("#view h2")).to_have_text("Accounts")
    expect(page.locator("tbody")).not_to_contain_text("shop")
