"""Django on SQLite, with a real server. Most tests use the project of docs/django.md."""

import asyncio
import hashlib
import json
import logging
import re
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path

import django
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections, transaction
from django.http import HttpResponse
from django.template import engines
from django.test import Client, RequestFactory, override_settings
from django.urls import clear_url_caches
from django.utils.decorators import method_decorator
from django.views.debug import ExceptionReporter
from django.views.generic import View

from bench.rig.ports import free_port
from cometify.client import CometifyError, Push
from tests.integrations.guides import blocks, run_guide

FOLDER = tempfile.TemporaryDirectory(prefix="cometify-django-")
DATABASE = Path(FOLDER.name) / "db.sqlite3"

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="tests.integrations.guestbook.urls",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "django.contrib.sessions",
        "tests.integrations.guestbook",
        "cometify.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}},
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django.template.context_processors.request"],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"guestbook.html": blocks("django.md", "html")[0]})
                ],
            },
        }
    ],
    USE_THOUSAND_SEPARATOR=True,
    COMETIFY_URL="https://key:secret@push.example.org",
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - Django must be ready

from cometify.django import batch_on_commit, push, push_on_commit, with_position  # noqa: E402
from cometify.django.conf import client as client_of_settings  # noqa: E402
from cometify.django.models import OutboxPush  # noqa: E402
from cometify.django.views import TokenView  # noqa: E402
from tests.integrations.guestbook import urls  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def database():
    call_command("migrate", verbosity=0, run_syncdb=True)
    yield
    connections.close_all()
    FOLDER.cleanup()


@pytest.fixture(autouse=True)
def account(url):
    with override_settings(COMETIFY_URL=url):
        yield
        client_of_settings().close()


@pytest.fixture
def guide(url):
    """The names of the guide, whose views have URLs."""
    from django.urls import path

    from tests.integrations.guestbook import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "guestbook", models)
        patch.setitem(sys.modules, "guestbook.models", models)
        names = run_guide("django.md", url, {"INSTALLED_APPS": []})
        urls.urlpatterns = [
            *names["urlpatterns"],
            path("", names["guestbook"]),
            path("entries", names["add"]),
            path("surely", names["add_surely"]),
        ]
        clear_url_caches()
        yield names
        urls.urlpatterns = []
        clear_url_caches()


@pytest.fixture
def browser(guide):
    return Client()


def since_of(page):
    return int(re.search(r"since: '(\d+)'", page)[1])


def page_of(browser):
    return browser.get("/").content.decode()


def test_push_of_a_view_is_heard(guide, browser, heard):
    page = page_of(browser)
    entry = browser.post("/entries", {"text": "Tea"}).json()["id"]
    (push,) = heard("guestbook", since_of(page))
    assert (push["data"], push["event"]) == ({"id": entry, "text": "Tea"}, "created")
    assert "<li>Tea</li>" in page_of(browser)
    assert guide["INSTALLED_APPS"] == ["cometify.django"]


def test_push_of_the_outbox_is_committed_with_the_entry(browser):
    entry = browser.post("/surely", {"text": "Coffee"}).json()["id"]
    row = OutboxPush.objects.get()
    assert (row.identifier, row.event) == ("guestbook", "created")
    assert json.loads(row.data) == {"id": entry, "text": "Coffee"}
    with pytest.raises(KeyError):
        browser.post("/surely", {})
    assert OutboxPush.objects.count() == 1


def test_push_is_sent_after_the_commit_and_not_before(texts):
    with transaction.atomic():
        push_on_commit("chat", "one")
        assert texts() == []
    assert texts() == ["one"]
    push_on_commit("chat", "two")  # there is no transaction
    assert texts() == ["one", "two"]


def test_rollback_forgets_the_push(texts):
    with pytest.raises(CometifyError), transaction.atomic():  # noqa: PT012 - a whole transaction
        push_on_commit("chat", "one")
        push_on_commit("chat")
    with transaction.atomic():
        with pytest.raises(CometifyError), transaction.atomic():  # noqa: PT012
            push_on_commit("chat", "two")
            push_on_commit("", "three")
        batch_on_commit([Push("chat", "four"), Push("chat", "five")])
    assert texts() == ["four", "five"]


def test_push_now_returns_the_answer(texts):
    assert push("chat", "one", push_id=7, secret=False).push_id == 7
    assert texts() == ["one"]


def test_failure_after_the_commit_is_logged(caplog):
    with (
        override_settings(COMETIFY_URL=None, COMETIFY={"URL": _away(), "TIMEOUT": 0.2}),
        caplog.at_level(logging.ERROR),
        transaction.atomic(),
    ):
        push_on_commit("chat", "a text")
    assert "1 pushes after a commit failed (chat): unreachable" in caplog.text
    assert "s3cret" not in caplog.text
    assert "a text" not in caplog.text


def test_script_tag_pins_the_bytes_that_the_server_sends(server, browser):
    tag = re.search(r'<script src="(.+?)" integrity="(.+?)" crossorigin></script>', page_of(browser))
    origin = f"http://127.0.0.1:{server.port}"
    assert tag[1].startswith(f"{origin}/")
    script = server.request("GET", tag[1].removeprefix(origin))
    assert script.status == 200
    assert tag[2] == f"sha384-{b64encode(hashlib.sha384(script.body).digest()).decode()}"


def test_script_tag_has_the_public_url_and_a_nonce(url):
    with override_settings(
        COMETIFY_URL=None, COMETIFY={"URL": url, "PUBLIC_URL": "https://push.example.org", "PINNED": False}
    ):
        tag = rendered("{% cometify_script nonce=nonce %}", {"nonce": '"a'})
    assert tag == '<script src="https://push.example.org/latest/cometify.min.js" nonce="&quot;a" crossorigin></script>'


def rendered(text, context):
    return engines["django"].from_string("{% load cometify %}" + text).render(context)


def test_page_without_a_position_says_what_to_do():
    with pytest.raises(ImproperlyConfigured, match="with_position"):
        rendered("{% cometify_position %}", {})


def test_async_view_has_a_position(client):
    @with_position
    async def view(request):
        return HttpResponse(str(request.cometify_position))

    before = client.position()
    position = int(asyncio.run(view(RequestFactory().get("/"))).content)
    assert before <= position <= client.position()


def test_view_that_is_a_class_has_a_position(client):
    @method_decorator(with_position, name="dispatch")
    class Page(View):
        def get(self, request):
            return HttpResponse(str(request.cometify_position))

    before = client.position()
    assert before <= int(Page.as_view()(RequestFactory().get("/")).content) <= client.position()


def test_page_is_shown_while_the_server_is_away(browser, caplog):
    before = time.time()
    with override_settings(COMETIFY_URL=None, COMETIFY={"URL": _away(), "TIMEOUT": 0.2}):
        position = since_of(page_of(browser)) / 1_000_000
    assert before - 5.1 < position < time.time() - 5
    assert "unreachable" in caplog.text
    assert "s3cret" not in caplog.text


def _away():
    return f"http://key:s3cret@127.0.0.1:{free_port()}"


def test_token_is_refused_without_a_login(browser):
    answer = browser.get("/push-token")
    assert (answer.status_code, answer["Cache-Control"]) == (403, "no-store")
    assert "token" not in answer.json()


def test_token_gives_the_right_to_own_secrets_alone(server, client, browser, rights_of):
    user = User.objects.get_or_create(username="ann")[0]
    browser.force_login(user)
    answer = browser.get("/push-token")
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    token = answer.json()["token"]
    assert rights_of(token, f"inbox_{user.pk}") == [f"inbox_{user.pk}"]
    assert rights_of(token, f"inbox_{user.pk + 1}") != [f"inbox_{user.pk + 1}"]
    with server.stream(f"identifiers=inbox_{user.pk}&token={token}") as stream:
        stream.joined()
        assert client.disconnect(subject=f"user_{user.pk}") == 1
    assert browser.post("/push-token").status_code == 405


def test_token_view_without_a_login_asks_its_own_function(rights_of):
    class Rooms(TokenView):
        login_required = False

        def identifiers(self, request):
            return {"1": ["room_*"], "2": []}.get(request.GET.get("ticket"))

        def subject(self, request):
            return None

    answers = [Rooms.as_view()(RequestFactory().get("/", {"ticket": ticket})) for ticket in ("1", "2", "3")]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    token = json.loads(answers[0].content)["token"]
    assert rights_of(token, "room_5") == ["room_5"]
    assert answers[1].content == b'{"token": null}'


def test_token_view_that_is_not_complete_says_what_to_do():
    request = RequestFactory().get("/")
    with pytest.raises(ImproperlyConfigured, match="identifiers_of"):
        TokenView.as_view(login_required=False)(request)
    with pytest.raises(ImproperlyConfigured, match="AuthenticationMiddleware"):
        TokenView.as_view(identifiers_of=lambda _request: [])(request)


SECRET_URL = "https://key:s3cret@push.example.org"


@pytest.mark.parametrize(
    ("given", "more", "told"),
    [
        (None, {}, "There is no URL"),
        ("https://push.example.org", {}, "COMETIFY_URL: The URL must have the account"),
        ("ftp://key:s3cret@push.example.org", {}, "must begin with https://"),
        (SECRET_URL, {"URL": SECRET_URL}, "both set: remove one"),
        (SECRET_URL, {"TIMEOUT": 0}, "above 0"),
        (SECRET_URL, {"TIMEOUT": "2"}, "above 0"),
        (SECRET_URL, {"PUBLIC_URL": "push.example.org"}, 'COMETIFY["PUBLIC_URL"]: The URL must begin'),
        ("push.example.org", {"TIMEOUT": 2}, "COMETIFY_URL: The URL must begin"),
        (None, {"URL": "push.example.org"}, 'COMETIFY["URL"]: The URL must begin'),
        (7, {}, "COMETIFY_URL must be a string"),
        (SECRET_URL, {"PUBLIC_URL": 1}, "must be a string"),
        (SECRET_URL, {"PINNED": 1}, "True or False"),
        (SECRET_URL, {"Url": 1}, "'Url', which is unknown"),
        (SECRET_URL, "url", "must be a dict"),
    ],
)
def test_check_says_what_is_wrong_with_the_settings(given, more, told, monkeypatch):
    monkeypatch.delenv("COMETIFY_URL", raising=False)
    with override_settings(COMETIFY_URL=given, COMETIFY=more), pytest.raises(SystemCheckError) as caught:
        call_command("check")
    assert told in str(caught.value)
    assert "cometify.E001" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    client_of_settings()  # the settings are read again


def test_reports_of_errors_hide_the_secret():
    with override_settings(COMETIFY_URL=SECRET_URL, COMETIFY={"URL": SECRET_URL}):
        request = RequestFactory().get("/", COMETIFY_URL=SECRET_URL)
        try:
            int("s")
        except ValueError:
            report = ExceptionReporter(request, *sys.exc_info())
        text = report.get_traceback_text()
    assert text.count("COMETIFY_URL = ") == 2  # of the settings and of the environment
    assert "s3cret" not in text
    assert "for tests" not in text


def test_check_is_content_with_the_environment(monkeypatch):
    monkeypatch.setenv("COMETIFY_URL", SECRET_URL)
    with override_settings(COMETIFY_URL=None):
        call_command("check")
        assert client_of_settings().server == "https://push.example.org"
