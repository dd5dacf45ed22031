"""A browser asks before a page sends headers of its own, as htmx and Datastar do (WHATWG Fetch, preflight)."""

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, API_SECRET
from tests.memory import World

LISTENING = ("stream", "events", "poll", "position")
ASKED = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "hx-request,last-event-id"}
ORIGIN = "https://example.org"


@pytest.mark.parametrize("path", LISTENING)
def test_page_of_any_origin_may_send_headers_of_its_own(world, path):
    answer = world.request("OPTIONS", f"/{API_KEY}/{path}", Origin=ORIGIN, **ASKED).answer()
    assert answer.status == 200
    assert answer.body == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "*"
    assert answer.headers["access-control-allow-methods"] == "GET, POST"
    assert "access-control-allow-credentials" not in answer.headers


def test_other_origin_than_the_accounts_gets_no_leave():
    world = World(Account(API_KEY, (API_SECRET,), origins=(ORIGIN,)))
    path = f"/{API_KEY}/events"
    assert (
        world.request("OPTIONS", path, Origin=ORIGIN, **ASKED).answer().headers["access-control-allow-origin"] == ORIGIN
    )
    answer = world.request("OPTIONS", path, Origin="https://example.net", **ASKED).answer()
    assert "access-control-allow-origin" not in answer.headers


def test_other_options_request_is_refused(world):
    answer = world.request("OPTIONS", f"/{API_KEY}/events", Origin=ORIGIN).answer()
    assert answer.status == 405
    assert answer.headers["allow"] == "GET"


def test_push_url_gives_no_leave(world):
    answer = world.request("OPTIONS", f"/{API_KEY}/push/chat", Origin=ORIGIN, **ASKED).answer()
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers
