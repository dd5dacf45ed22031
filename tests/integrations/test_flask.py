"""Flask, with a real server. Most tests use the app of docs/flask.md."""

import hashlib
import json
import logging
import re
import time
from base64 import b64encode

import flask
import jinja2
import pytest

from bench.rig.ports import free_port
from cometify.client import CometifyError
from cometify.flask import Cometify, Grant
from tests.integrations.guides import blocks, run_guide


@pytest.fixture
def guide(url):
    """The names of the guide, whose app has a database and its template."""
    rows = []

    def save(text):
        rows.append({"id": len(rows) + 1, "version": 1, "text": text, "deleted": False})
        return rows[-1]

    names = run_guide("flask.md", url, {"save": save, "entries": lambda: list(rows)})
    app = names["app"]
    app.secret_key = "for tests"
    (html,) = blocks("flask.md", "html")
    app.jinja_loader = jinja2.DictLoader({"guestbook.html": html})
    yield names
    with app.app_context():
        names["cometify"].client.close()


@pytest.fixture
def browser(guide):
    return guide["app"].test_client()


def since_of(page):
    return int(re.search(r"since: '(\d+)'", page)[1])


def rows_of(page):
    return json.loads(re.search(r'<script id="rows" type="application/json">(.*?)</script>', page)[1])


def test_push_of_a_view_is_heard(browser, heard):
    page = browser.get("/").text
    assert browser.post("/entries", data={"text": "Tea"}).status_code == 201
    (push,) = heard("guestbook", since_of(page))
    row = {"id": 1, "version": 1, "text": "Tea", "deleted": False}
    assert (push["data"], push["event"]) == (row, "created")
    assert browser.get("/entries").json == [row]
    assert rows_of(browser.get("/").text) == [row]


def test_text_of_a_row_ends_no_script_of_the_page(browser):
    browser.post("/entries", data={"text": "</script><script>alert(1)</script>"})
    page = browser.get("/").text
    assert "alert(1)</script>" not in page
    assert rows_of(page)[0]["text"] == "</script><script>alert(1)</script>"


def test_push_while_the_page_is_rendered_is_after_its_position(guide, browser, heard):
    def entries():  # another process commits and pushes after this page has read its rows
        guide["cometify"].push("guestbook", "while it loads")
        return []

    guide["entries"] = entries
    pushes = heard("guestbook", since_of(browser.get("/").text))
    assert "while it loads" in [push["text"] for push in pushes if "text" in push]


def test_script_tag_pins_the_bytes_that_the_server_sends(server, browser):
    src, integrity = re.search(
        r'<script src="(.+?)" integrity="(.+?)" crossorigin></script>', browser.get("/").text
    ).groups()
    origin = f"http://127.0.0.1:{server.port}"
    assert src.startswith(f"{origin}/")
    script = server.request("GET", src.removeprefix(origin))
    assert script.status == 200
    assert integrity == f"sha384-{b64encode(hashlib.sha384(script.body).digest()).decode()}"


def test_script_tag_has_the_public_url_and_a_nonce(url):
    app = flask.Flask("public")
    app.config |= {"COMETIFY_URL": url, "COMETIFY_PUBLIC_URL": "https://push.example.org/below/"}
    Cometify(app)
    with app.test_request_context():
        tag = flask.render_template_string("{{ cometify_script(pinned=False, nonce='\"a') }}")
    assert tag == (
        '<script src="https://push.example.org/below/latest/cometify.min.js" nonce="&quot;a" crossorigin></script>'
    )


def test_token_is_refused_without_a_login(browser):
    answer = browser.get("/push-token")
    assert answer.status_code == 403
    assert "token" not in answer.json
    assert answer.headers["Cache-Control"] == "no-store"


def test_token_gives_the_right_to_own_secrets_alone(browser, rights_of):
    with browser.session_transaction() as session:
        session["user"] = 7
    answer = browser.get("/push-token")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert rights_of(answer.json["token"], "inbox_7") == ["inbox_7"]
    assert rights_of(answer.json["token"], "inbox_8") != ["inbox_8"]


def test_visitor_without_identifiers_gets_no_token(guide):
    with guide["app"].app_context():
        answer = guide["cometify"].token_answer(guide["Grant"]([]))
    assert (answer.status_code, answer.json) == (200, {"token": None})


def test_token_of_something_else_than_a_grant_says_what_to_do(guide):
    with guide["app"].app_context(), pytest.raises(TypeError, match=r"Return a Grant, or None .* This is a list"):
        guide["cometify"].token_answer(["inbox_7"])


def test_page_is_shown_while_the_server_is_away(caplog):
    app = flask.Flask("away")
    app.config |= {"COMETIFY_URL": f"http://key:s3cret@127.0.0.1:{free_port()}", "COMETIFY_TIMEOUT": 0.2}
    cometify = Cometify(app)
    app.add_url_rule("/", view_func=cometify.with_position(lambda: str(cometify.position())))
    before = time.time()
    with caplog.at_level(logging.WARNING):
        position = int(app.test_client().get("/").text) / 1_000_000
    assert before - 5.1 < position < time.time() - 5
    assert "unreachable" in caplog.text
    assert "s3cret" not in caplog.text


def test_async_views_work(url):
    app = flask.Flask("async")
    app.config["COMETIFY_URL"] = url
    cometify = Cometify(app)

    @app.get("/")
    @cometify.with_position
    async def page():
        return str(cometify.position())

    @cometify.token_route(app, "/push-token")
    async def rights():
        return Grant([])

    browser = app.test_client()
    assert int(browser.get("/").text) > 0
    assert browser.get("/push-token").json == {"token": None}


def test_view_without_a_position_says_what_to_do(guide):
    with guide["app"].test_request_context(), pytest.raises(RuntimeError, match=r"@cometify\.with_position"):
        guide["cometify"].position()


def test_app_without_the_extension_says_what_to_do():
    with flask.Flask("bare").app_context(), pytest.raises(RuntimeError, match="init_app"):
        Cometify().push("guestbook", "Hello world!")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"COMETIFY_URL": "https://push.example.org"},
        {"COMETIFY_URL": "ftp://key:s3cret@push.example.org"},
        {"COMETIFY_URL": "https://key:s3cret@push.example.org", "COMETIFY_PUBLIC_URL": "push.example.org"},
        {"COMETIFY_URL": "https://key:s3cret@push.example.org", "COMETIFY_PUBLIC_URL": "https://a:s3cret@b.example"},
        {"COMETIFY_URL": "https://key:s3cret@push.example.org", "COMETIFY_TIMEOUT": 0},
    ],
)
def test_wrong_configuration_is_told_at_the_start(config, monkeypatch):
    monkeypatch.delenv("COMETIFY_URL", raising=False)
    app = flask.Flask("wrong")
    app.config |= config
    with pytest.raises(CometifyError) as caught:
        Cometify(app)
    assert "s3cret" not in str(caught.value)


def test_one_extension_serves_several_apps(url):
    cometify = Cometify()
    servers = []
    for given in (url, "https://key:secret@push.example.org"):
        app = flask.Flask("one")
        app.config["COMETIFY_URL"] = given
        cometify.init_app(app)
        with app.app_context():
            servers.append(cometify.client.server)
    assert servers == [f"http://{url.rpartition('@')[2]}", "https://push.example.org"]
