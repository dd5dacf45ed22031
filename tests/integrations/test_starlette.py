"""FastAPI and Starlette, with a real server. Most tests use the app of docs/fastapi.md."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from bench.rig.ports import free_port
from cometify.client import CometifyError
from cometify.starlette import Cometify, Grant
from tests.integrations.guides import run_guide


class Browser:
    """Asks an app in its own event loop, within its lifespan."""

    def __init__(self, runner: asyncio.Runner, client: httpx.AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._client.request(method, path, **options))


@pytest.fixture
def browse():
    """browse(app, lifespan): a browser. The lifespan ends with the test."""
    with asyncio.Runner() as runner:
        opened = []

        def begin(app, lifespan):
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test")
            began = lifespan(app)
            runner.run(began.__aenter__())
            opened.append((client, began))
            return Browser(runner, client)

        yield begin
        for client, began in opened:
            runner.run(client.aclose())
            runner.run(began.__aexit__(None, None, None))


@pytest.fixture
def guide(url):
    rows = []

    async def save(text):
        rows.append({"id": len(rows) + 1, "text": text})
        return rows[-1]

    async def entries():
        return list(rows)

    def current_user(x_user: str | None = None):
        return x_user

    return run_guide("fastapi.md", url, {"save": save, "entries": entries, "current_user": current_user})


@pytest.fixture
def browser(guide, browse):
    return browse(guide["app"], guide["cometify"].lifespan)


def test_push_of_an_endpoint_is_heard(browser, heard):
    since = browser.request("GET", "/entries").json()["since"]
    assert browser.request("POST", "/entries", params={"text": "Tea"}).json() == {"id": 1, "text": "Tea"}
    (push,) = heard("guestbook", since)
    assert (push["data"], push["event"]) == ({"id": 1, "text": "Tea"}, "created")


def test_push_while_the_rows_are_read_is_after_the_position(guide, browser, heard):
    async def entries():
        await guide["cometify"].client.push("guestbook", "while it loads")
        return []

    guide["entries"] = entries
    pushes = heard("guestbook", browser.request("GET", "/entries").json()["since"])
    assert "while it loads" in [push["text"] for push in pushes if "text" in push]


def test_token_is_refused_without_a_login(browser):
    for path in ("/push-token", "/push-token-2"):
        answer = browser.request("GET", path)
        assert (answer.status_code, answer.headers["cache-control"]) == (403, "no-store")
        assert "token" not in answer.json()


def test_token_gives_the_right_to_own_secrets_alone(browser, rights_of):
    answers = [
        browser.request("GET", "/push-token", params={"x_user": "7"}),
        browser.request("GET", "/push-token-2", headers={"X-User": "7"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
        assert rights_of(answer.json()["token"], "inbox_7") == ["inbox_7"]
        assert rights_of(answer.json()["token"], "inbox_8") != ["inbox_8"]


def test_token_route_takes_an_async_function(url, browse):
    async def grant_of(_request):
        await asyncio.sleep(0)
        return Grant([])

    cometify = Cometify(url)
    app = Starlette(routes=[cometify.token_route("/push-token", grant_of)])
    browser = browse(app, cometify.lifespan)
    assert browser.request("GET", "/push-token").json() == {"token": None}
    assert browser.request("POST", "/push-token").status_code == 405


def test_endpoint_that_is_a_plain_function_pushes_too(url, browse, texts):
    cometify = Cometify(url)
    app = FastAPI()

    @app.post("/chat")
    def say(client=Depends(cometify.sync)):  # noqa: B008 - FastAPI's way
        return client.push("chat", "one").identifier

    browser = browse(app, cometify.lifespan)
    assert [browser.request("POST", "/chat").json() for _ in range(2)] == ["chat"] * 2
    assert texts() == ["one", "one"]


def test_lifespan_within_another_one_opens_the_client(guide, browse):
    browse(guide["app"], guide["lifespan"])
    assert guide["cometify"].client.api_key in repr(guide["cometify"].client)


def test_lifespan_tells_a_wrong_configuration(monkeypatch, browse):
    monkeypatch.delenv("COMETIFY_URL", raising=False)
    for cometify in (Cometify(), Cometify("https://key:s3cret@push.example.org", public_url="push.example.org")):
        with pytest.raises(CometifyError) as caught:
            browse(FastAPI(), cometify.lifespan)
        assert caught.value.code == "invalid_url"
        assert "s3cret" not in str(caught.value)


def test_script_tag_stands_in_a_template(tmp_path, browse):
    (tmp_path / "page.html").write_text("{{ cometify_script(nonce='a') }}")
    templates = Jinja2Templates(tmp_path)
    cometify = Cometify("http://key:secret@cometify:8081", public_url="https://push.example.org")
    templates.env.globals["cometify_script"] = cometify.script
    app = Starlette(routes=[Route("/", lambda request: templates.TemplateResponse(request, "page.html"))])
    page = browse(app, cometify.lifespan).request("GET", "/").text
    assert page == cometify.script(nonce="a")
    assert page.startswith('<script src="https://push.example.org/')


def test_url_of_the_environment_is_read_at_the_start(monkeypatch, url, browse):
    cometify = Cometify()
    monkeypatch.setenv("COMETIFY_URL", url)
    browse(FastAPI(), cometify.lifespan)
    assert str(cometify.script()).startswith(f'<script src="http://{url.rpartition("@")[2]}/')


def test_page_is_shown_while_the_server_is_away(browse, caplog):
    cometify = Cometify(f"http://key:s3cret@127.0.0.1:{free_port()}", timeout=0.2)
    app = FastAPI()

    @app.get("/")
    async def page(since=Depends(cometify.position)):  # noqa: B008 - FastAPI's way
        return since

    before = time.time()
    position = browse(app, cometify.lifespan).request("GET", "/").json() / 1_000_000
    assert before - 5.1 < position < time.time() - 5
    assert "unreachable" in caplog.text
    assert "s3cret" not in caplog.text
