"""The getting-started page at /, as a new user finds it."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from cometify.client import Cometify
from cometify.core import errors
from cometify.core.errors import Code
from tests.browser.publishers import SAMPLES, run_text
from tests.browser.visitor import TRANSPORTS, Visitor
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, secure, secure_key

CSP = """
  document.addEventListener('securitypolicyviolation', (event) => console.error('violated: ' + event.violatedDirective));
"""
"""A violation would count as an error in the console, whether or not the browser writes one."""


@pytest.fixture
def visitor(server: Server, context: BrowserContext) -> Iterator[Visitor]:
    """A visitor of the page. No policy is violated during the visit, and no request goes to another server."""
    context.add_init_script(CSP)
    visitor = Visitor(context.new_page())
    visitor.open(f"http://localhost:{server.port}/")
    yield visitor
    assert visitor.errors == []
    # The line of the panel is cut amid a handshake too, which the browser has a word for.
    assert [warning for warning in visitor.warnings if "before the connection is established" not in warning] == []
    hosts = {urlsplit(url).netloc for url in [*visitor.websockets, *(request.url for request in visitor.requests)]}
    assert hosts == {f"localhost:{server.port}"}


@pytest.fixture
def page(visitor: Visitor) -> Page:
    return visitor.page


def sign_in(page: Page) -> None:
    page.fill("#api-key", API_KEY)
    page.fill("#api-secret", API_SECRET)


def listen(page: Page, identifiers: str, transport: str = "auto", *, key: bool = False, internal_id: str = "") -> None:
    """Start to listen, and wait until the page does."""
    page.fill("#listen-identifiers", identifiers)
    page.fill("#listen-internal-id", internal_id)
    page.locator("#listen-secure-key").set_checked(key)
    page.check(f"#transport-{transport}", force=True)
    page.click("#listen-toggle")
    used = "websocket" if transport == "auto" else transport
    expect(page.locator(f'#live[data-state="connected"][data-transport="{used}"]')).to_be_visible()


def push(page: Page, identifier: str, text: str, *, secret: bool = False, push_id: str = "") -> Locator:
    """Push by the form; the place of the answer."""
    page.fill("#push-identifier", identifier)
    page.fill("#push-text", text)
    page.fill("#push-id", push_id)
    page.locator("#push-secret").set_checked(secret)
    page.click("#push-send")
    return page.locator("#push-answer")


def pushed(page: Page, identifier: str, text: str, **more: Any) -> None:
    answer = push(page, identifier, text, **more)
    expect(answer).to_have_attribute("data-outcome", "pushed")
    expect(answer).to_have_attribute("data-status", "200")


def arrived(page: Page, text: str) -> Locator:
    """Return the one push that arrived with this text."""
    item = page.locator("#arrivals > li").filter(has=page.locator(".text", has_text=re.compile(f"^{re.escape(text)}$")))
    expect(item).to_have_count(1)
    return item


def has(item: Locator, **data: str) -> None:
    for name, value in data.items():
        expect(item).to_have_attribute(f"data-{name.replace('_', '-')}", value)


# --------------------------------------------------------------- content of the page


def samples_of_page() -> list[Path]:
    """The files of the page's samples. The receivers of webhooks are shown in docs/webhooks.md."""
    return [path for path in SAMPLES.iterdir() if path.stem != "webhook"]


def samples_on(page: Page) -> dict[str, str]:
    """The samples as the page shows them now."""
    return dict(
        page.locator("code[data-sample]").evaluate_all("all => all.map(c => [c.dataset.sample, c.textContent])")
    )


def test_samples_shown_are_the_samples(server: Server, page: Page):
    source = server.request("GET", "/").body.decode()
    served = re.findall(r'<code data-sample="([^"]+)"[^>]*>(.*?)</code>', source, re.DOTALL)
    files = {path.name: path.read_text() for path in samples_of_page()}
    assert {name: html.unescape(text) for name, text in served} == files
    assert len(served) == len(files)
    # With no key typed, the page's script leaves them as they are, but for where the server is.
    here = f"http://localhost:{server.port}"
    assert samples_on(page) == {name: text.replace("http://localhost:8081", here) for name, text in files.items()}


def test_samples_run_as_shown_with_the_typed_key(server: Server, page: Page, tmp_path: Path):
    sign_in(page)
    listen(page, "chat")
    for name, text in samples_on(page).items():
        assert "YOUR_API_KEY" not in text
        assert API_SECRET not in text
        filled = text.replace("YOUR_API_SECRET", API_SECRET)
        match name.split("."):
            case ["push" | "push-hmac", _]:
                assert json.loads(run_text(name, filled, tmp_path))["listeners"] == 1
            case ["secure-key", _]:
                assert run_text(name, filled, tmp_path).strip() == secure_key("metrics", "tweets")
            case ["token", _]:
                token = run_text(name, filled, tmp_path).strip()
                with server.stream(f"identifiers=chat,metrics,metrics_7&token={token}") as stream:
                    assert stream.joined()["secret"] == ["chat", "metrics_7"]
            case [others, _]:
                assert others in ("listen", "page-load")  # these have tests of their own
    for language in ("PHP", "Python", "Node", "the shell"):
        for text in (f"Hello from {language}", f"Signed in {language}"):
            has(arrived(page, text), how="elsewhere", transport="websocket", identifier="chat")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_page_to_save_listens_when_it_is_opened(
    server: Server, page: Page, context: BrowserContext, tmp_path: Path, transport: str
):
    page.fill("#api-key", API_KEY)
    text = samples_on(page)["listen.html"]
    if transport != "websocket":
        text = text.replace("callback:", f"transports: ['{transport}'], callback:")
    saved = tmp_path / "listen.html"
    saved.write_text(text)
    sample = Visitor(context.new_page()).open(saved.as_uri(), transport)
    server.pushed("chat", "Hello, <b>file</b>")
    expect(sample.page.locator("#arrived > li")).to_have_text(["chat: Hello, <b>file</b>"])
    assert sample.errors == []


def test_command_for_a_terminal_listens(server: Server, page: Page):
    page.fill("#api-key", API_KEY)
    command = page.locator("#without-script pre > code").text_content() or ""
    target = re.fullmatch(rf"curl -N 'http://localhost:{server.port}(/\S+)'\n", command)
    assert target, command
    path, _, query = target[1].partition("?")
    assert path == f"/{API_KEY}/events"
    with server.stream(query, path="events") as stream:
        stream.joined()
        server.pushed("chat", "to a terminal")
        assert stream.next("push")["text"] == "to a terminal"


def test_every_code_has_its_row_with_its_status(page: Page):
    rows = dict(
        page.locator("tr[data-code]").evaluate_all("all => all.map(r => [r.dataset.code, r.cells[0].textContent])")
    )
    codes = {code.name: str(code.status) for code in vars(errors).values() if isinstance(code, Code)}
    assert {name: rows.get(name) for name in codes} == codes


def test_links_within_the_page_lead_somewhere(page: Page):
    targets = page.locator('a[href^="#"]').evaluate_all("all => all.map(a => a.hash.slice(1))")
    assert len(targets) > 10
    assert [target for target in targets if page.locator(f"[id='{target}']").count() != 1] == []


def test_address_can_bring_the_key_and_the_page_then_listens(server: Server, visitor: Visitor):
    visitor.page.goto("about:blank")
    visitor.open(f"http://localhost:{server.port}/#key={API_KEY}")
    expect(visitor.page.locator("#api-key")).to_have_value(API_KEY)
    expect(visitor.page.locator('#live[data-state="connected"]')).to_be_visible()
    assert f"apiKey: '{API_KEY}'" in samples_on(visitor.page)["listen.html"]
    server.pushed("chat", "curled")
    has(arrived(visitor.page, "curled"), how="elsewhere")


# --------------------------------------------------------------- the generators


def test_generators_make_the_seed_s_vectors(page: Page):
    made_key, made = page.locator("#made-secure-key"), page.locator("#made-secure")
    expect(made_key).to_have_attribute("data-made", "no")
    page.fill("#api-key", "1")
    page.fill("#api-secret", "c1h89chHaka9s1")
    page.fill("#key-identifiers", "metrics,tweets")
    expect(made_key).to_have_text("d6d02dbf813a87619a1ab325878942b0")
    page.fill("#sign-identifier", "visitors")
    page.fill("#sign-text", "284 people")
    expect(made).to_have_text("149f26540f697a97e886e2527466c6e8")
    sign_in(page)
    page.fill("#key-identifiers", "guestbook,comments,oneliner")
    expect(made_key).to_have_text("5b70b14ea396f689a1b9550ba66025bc")


def test_generators_agree_with_the_server_on_any_text(page: Page):
    sign_in(page)
    page.fill("#sign-identifier", "Chat_1")
    for text in ("", "Grüße, 世界 \U0001f30d", *("x" * size for size in (54, 55, 56, 63, 64, 65, 65536))):
        page.fill("#sign-text", text)
        expect(page.locator("#made-secure")).to_have_text(secure("Chat_1", text))


# --------------------------------------------------------------- the live panel


@pytest.mark.parametrize("transport", ["auto", *TRANSPORTS])
def test_panel_listens_pushes_and_resumes_after_a_cut(page: Page, visitor: Visitor, transport: str):
    name, used = f"panel_{transport}", "websocket" if transport == "auto" else transport
    sign_in(page)
    listen(page, name, transport, key=True)
    pushed(page, name, "public", push_id="7")
    has(arrived(page, "public"), identifier=name, push_id="7", secret="no", transport=used, how="live")
    pushed(page, name.upper(), "for few", secret=True)
    item = arrived(page, "for few")
    has(item, identifier=name, push_id="", secret="yes", transport=used, how="live")
    assert 0 < float(item.get_attribute("data-latency") or "") < 5000

    page.click("#cut")
    expect(page.locator("#cut")).to_have_attribute("aria-pressed", "true")
    expect(page.locator('#live[data-line="down"]:not([data-state="connected"])')).to_be_visible()
    for text in ("first in the tunnel", "second in the tunnel"):
        pushed(page, name, text, secret=True)
    expect(page.locator("#live")).to_have_attribute("data-arrivals", "2")
    page.click("#cut")
    expect(page.locator('#live[data-line="up"][data-state="connected"]')).to_be_visible()
    for text in ("first in the tunnel", "second in the tunnel"):
        has(arrived(page, text), how="resumed", secret="yes", transport=used)
    pushed(page, name, "live again")
    has(arrived(page, "live again"), how="live", transport=used)
    newest_first = ["live again", "second in the tunnel", "first in the tunnel", "for few", "public"]
    expect(page.locator("#arrivals > li > .text")).to_have_text(newest_first)
    expect(page.locator("#live")).to_have_attribute("data-arrivals", "5")
    assert visitor.asked == [used]

    page.click("#listen-toggle")
    expect(page.locator("#live")).to_have_attribute("data-state", "stopped")
    notes = page.locator("#state-log > li").evaluate_all("all => all.map(li => [li.dataset.kind, li.textContent])")
    # A cut that lasts until all transports were tried is told. On a busy machine this one does.
    errors = [text for kind, text in notes if kind == "error" and "unreachable" not in text]
    assert errors == []
    assert {"state", "line"} <= {kind for kind, _text in notes} <= {"state", "line", "error"}


def test_panel_without_the_secure_key_gets_no_secret_push(page: Page):
    sign_in(page)
    listen(page, "hushed")
    pushed(page, "hushed", "for few", secret=True)
    expect(page.locator("#push-answer")).to_contain_text("without the secureKey")
    pushed(page, "hushed", "for all")
    arrived(page, "for all")
    expect(page.locator("#live")).to_have_attribute("data-arrivals", "1")
    # Turning it on joins again, and an internal id of 0 replays the missed pushes.
    page.fill("#listen-internal-id", "0")
    page.check("#listen-secure-key")
    has(arrived(page, "for few"), secret="yes", how="resumed")


def test_panel_keeps_answer_to_newest_push(page: Page):
    sign_in(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/push/slow", hold)
    with page.expect_request("**/push/slow"):
        push(page, "slow", "first")
    pushed(page, "quick", "second")
    told = page.locator("#push-answer").text_content()
    with page.expect_response("**/push/slow") as answered:
        held[0].continue_()
    assert answered.value.json()["listeners"] == 0
    # Two frames later the page has certainly read the answer, too.
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.locator("#push-answer").text_content() == told


def test_panel_tells_what_a_refused_push_did_wrong(server: Server, page: Page, visitor: Visitor):
    answer = push(page, "chat", "unsigned")
    expect(answer).to_have_attribute("data-outcome", "unsigned")
    sign_in(page)
    for identifier, push_id, status, code, word in (
        ("1chat", "", "400", "invalid_identifier", "letter"),
        ("chat", "seven", "400", "invalid_parameter", "push_id"),
    ):
        answer = push(page, identifier, "x", push_id=push_id)
        has(answer, outcome="refused", status=status, code=code)
        expect(answer).to_contain_text(word)
    page.fill("#api-secret", "a wrong one")
    has(push(page, "chat", "x"), outcome="refused", status="403", code="not_authorized")
    # The browser itself has a line in its console for each of these answers, and the page none.
    assert all("Failed to load resource" in error for error in visitor.errors)
    assert len(visitor.errors) == 3
    visitor.errors.clear()
    expect(page.locator("#arrivals > li")).to_have_count(0)


def test_panel_tells_what_a_refused_listener_did_wrong(page: Page):
    page.fill("#api-key", "nobody")
    page.click("#listen-toggle")
    expect(page.locator("#live")).to_have_attribute("data-state", "failed")
    expect(page.locator('#state-log > li[data-kind="error"]')).to_contain_text("not_authorized")
    page.fill("#api-key", API_KEY)
    page.fill("#listen-identifiers", "1chat")
    page.click("#listen-toggle")
    expect(page.locator('#state-log > li[data-kind="error"]').first).to_contain_text("identifiers")


def test_panel_shows_data_as_json(server: Server, page: Page):
    sign_in(page)
    listen(page, "data")
    with Cometify(f"http://127.0.0.1:{server.port}", API_KEY, API_SECRET, timeout=20) as client:
        client.push("data", {"order": 7, "state": ["paid"]})
    arrived(page, '{"order":7,"state":["paid"]}')


def test_panel_shows_pushed_markup_as_text(server: Server, page: Page):
    sign_in(page)
    listen(page, "markup")
    server.pushed("markup", "<img src=x onerror=alert(1)>")
    arrived(page, "<img src=x onerror=alert(1)>")
    assert page.locator("#arrivals img").count() == 0


# --------------------------------------------------------------- secrets of the page


def test_api_secret_is_neither_sent_nor_stored(page: Page, visitor: Visitor):
    sign_in(page)
    for transport in TRANSPORTS:
        listen(page, "quiet", transport, key=True)
        pushed(page, "quiet", f"by {transport}", secret=True)
        arrived(page, f"by {transport}")
        page.click("#listen-toggle")
    sent = [*visitor.sent_frames, *visitor.websockets]
    for request in visitor.requests:
        sent += [request.url, json.dumps(request.all_headers()), request.post_data or ""]
    assert any(secure("quiet", "by poll") in one for one in sent)
    assert any(secure_key("quiet") in one for one in visitor.sent_frames)
    kept = page.evaluate(
        """async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, name, history.state,
            location.href, await indexedDB.databases(), await caches.keys(), document.documentElement.outerHTML])"""
    )
    for secret in (API_SECRET, "dj28DNam", "nx72"):
        assert not [one for one in sent if secret in one]
        assert secret not in kept
    assert json.loads(kept)[:4] == [{}, {}, "", ""]
    page.reload()
    expect(page.locator("#api-secret")).to_have_value("")


def test_policy_of_the_page_is_strict(server: Server):
    headers = server.request("GET", "/").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["img-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"


# --------------------------------------------------------------- looks of the page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone_and_follows_the_scheme(server: Server, page: Page, scheme: Any):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page)
    listen(page, "phone")
    server.pushed("phone", "W" * 300)
    arrived(page, "W" * 300)
    page.fill("#sign-text", "W" * 300)
    for tab in page.get_by_role("tab").all():
        if tab.get_attribute("aria-selected") != "true":
            tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
    )
    assert (red + green + blue < 3 * 64) == (scheme == "dark")
    assert (red + green + blue > 3 * 192) == (scheme == "light")


def test_page_can_be_read_without_javascript(server: Server, browser: Browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://localhost:{server.port}/")
    expect(page.locator("noscript .note")).to_be_visible()
    shown = page.locator("code[data-sample]").all()
    assert len(shown) == len(samples_of_page())
    for sample in shown:
        expect(sample).to_be_visible()
    for hidden in page.locator(".needs-js").all():
        expect(hidden).to_be_hidden()
    context.close()


def test_every_field_and_button_has_a_name(page: Page):
    for role in ("textbox", "switch", "radio", "button", "tab"):
        named = page.get_by_role(role, name=re.compile(r"\S")).count()  # type: ignore[arg-type]
        assert named == page.get_by_role(role).count() > 0, role  # type: ignore[arg-type]
