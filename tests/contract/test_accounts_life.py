"""The life of an account by the admin endpoint of a real server, while listeners of another account notice nothing."""

import json
import signal
import threading
from contextlib import ExitStack

import pytest

from cometify.accounts.record import Record
from tests.conftest import START_WITHIN, Server, assert_clean
from tests.redis import Redis
from tests.wire import API_KEY, WebSocket, eventually, form, secure

JSON = {"Content-Type": "application/json"}


def api(server, method, path, body=None, **headers):
    data = None if body is None and method == "GET" else json.dumps(body or {}).encode()
    return server.request(method, path, data, {**JSON, **headers}, port=server.admin_port)


def bearer(secret):
    return {**JSON, "Authorization": f"Bearer {secret}"}


def push(server, key, secret, text="x"):
    body = json.dumps({"text": text, "secret": 0}).encode()
    return server.request("POST", f"/{key}/push/chat", body, bearer(secret))


def is_live(server):
    try:
        return server.request("GET", "/health/live", port=server.admin_port).status == 200
    except OSError:  # it does not listen yet
        return False


@pytest.fixture(scope="module", params=["sqlite", "workers"])
def server(request, tmp_path_factory):
    """One process with SQLite, and several workers with Redis."""
    folder = tmp_path_factory.mktemp("accounts")
    options = {"accounts": f"sqlite://{folder}/accounts.db"}
    if request.param == "workers":
        redis = request.getfixturevalue("redis")
        options = {"accounts": "redis", "redis": redis.url, "workers": 2}
    server = Server(folder, {"drain": 1, **options}, {}).start()
    yield server
    assert server.stop() == -signal.SIGTERM
    assert_clean(server.log.read_text())


def test_life_of_an_account_disturbs_no_other(server):
    with ExitStack() as stack:
        others = [stack.enter_context(server.websocket("identifiers=chat")) for _ in range(4)]
        for other in others:
            other.joined()

        made = api(server, "PUT", "/accounts/shop", {"listeners": 5})
        assert (made.status, made.json["source"], made.json["settings"]) == (201, "store", {"listeners": 5})
        first = made.json["api_secret"]
        eventually(lambda: push(server, "shop", first).status == 200)
        listener = stack.enter_context(WebSocket(server.port, "/shop/websocket?identifiers=news"))
        listener.joined()

        again = api(server, "PUT", "/accounts/shop", {"listeners": 6}, **{"If-Match": made.json["tag"]})
        assert (again.status, "api_secret" in again.json) == (200, False)
        stale = api(server, "PUT", "/accounts/shop", {"listeners": 7}, **{"If-Match": made.json["tag"]})
        assert (stale.status, stale.json["code"]) == (409, "account_conflict")
        new = api(server, "PUT", "/accounts/shop", {}, **{"If-None-Match": "*"})
        assert (new.status, new.json["code"]) == (409, "account_conflict")

        second = api(server, "POST", "/accounts/shop/rotate").json["api_secret"]
        eventually(lambda: [push(server, "shop", secret).status for secret in (first, second) * 2] == [200] * 4)
        assert api(server, "POST", "/accounts/shop/rotate").status == 409
        assert api(server, "POST", "/accounts/shop/retire").json["secrets"] == 1
        eventually(lambda: [push(server, "shop", secret).status for secret in (first, second) * 2] == [403, 200] * 2)

        assert api(server, "POST", "/accounts/shop/suspend").json["suspended"] is True
        assert listener.next("error")["code"] == "account_suspended"
        assert listener.closed() == 4102
        eventually(lambda: push(server, "shop", second).json.get("code") == "account_suspended")
        assert server.request("GET", "/shop/usage", headers=bearer(second)).json["listeners"] == 0
        eventually(lambda: api(server, "GET", "/accounts/shop/usage").json["hour"]["pushes"] > 0, 20)
        assert api(server, "GET", "/accounts/nobody/usage").json["code"] == "not_found"
        assert api(server, "POST", "/accounts/shop/resume").json["suspended"] is False
        eventually(lambda: [push(server, "shop", second).status for _ in range(4)] == [200] * 4)

        listed = api(server, "GET", "/accounts")
        assert [row["api_key"] for row in listed.json["accounts"]] == [API_KEY, "shop"]
        told = api(server, "GET", "/accounts/shop")
        assert told.json["effective"]["listeners"] == 6
        for secret in (first, second):
            assert secret not in listed.body.decode() + told.body.decode() + server.log.read_text()

        assert api(server, "DELETE", "/accounts/shop").json == {"api_key": "shop", "removed": True}
        eventually(lambda: push(server, "shop", second).json.get("code") == "not_authorized")
        assert api(server, "DELETE", "/accounts/shop").json["code"] == "not_found"

        server.pushed("chat", "nobody noticed")
        for other in others:
            assert other.frame()["text"] == "nobody noticed"


def test_query_of_a_webhook_is_never_shown(server):
    shown = "https://www.example.org/hook?…"
    made = api(server, "PUT", "/accounts/hooked", {"webhook": "https://www.example.org/hook?token=hidden"})
    assert made.json["settings"] == {"webhook": shown}
    back = api(server, "PUT", "/accounts/hooked", {"webhook": shown, "listeners": 7})
    assert back.json["settings"] == {"webhook": shown, "listeners": 7}
    told = api(server, "GET", "/accounts/hooked")
    assert told.json["effective"]["webhook"] == shown
    refused = api(server, "PUT", "/accounts/hooked", {"webhook": "https://www.example.org/other?…"})
    assert (refused.status, refused.json["code"]) == (400, "invalid_parameter")
    listed = api(server, "GET", "/accounts")
    bodies = [answer.body.decode() for answer in (made, back, told, refused, listed)]
    assert "token=hidden" not in "".join(bodies) + server.log.read_text()
    assert api(server, "DELETE", "/accounts/hooked").status == 200


def test_account_of_the_file_is_changed_in_the_file(server):
    for method, path in (("PUT", API_KEY), ("DELETE", API_KEY), ("POST", f"{API_KEY}/suspend")):
        refused = api(server, method, f"/accounts/{path}")
        assert (refused.status, refused.json["code"]) == (409, "account_conflict")
        assert "change it there, and reload each node" in refused.json["detail"]


def test_accounts_outlive_the_server(server):
    secret = api(server, "PUT", "/accounts/stays").json["api_secret"]
    server.stop()
    server.start()
    assert push(server, "stays", secret).status == 200
    assert api(server, "DELETE", "/accounts/stays").status == 200


def test_request_right_after_the_start_waits_for_the_accounts(tmp_path):
    redis = Redis(tmp_path / "redis").start()
    record = Record({}, ("the secret of shop",), is_suspended=False, created=1, changed=1)
    redis.command("HSET", "cometify:accounts", "shop", record.text())
    redis.command("HSET", "cometify:accounts:state", "origin", "a store", "version", 1)
    redis.send_signal(signal.SIGSTOP)
    server = Server(tmp_path, {"accounts": "redis", "redis": redis.url}, {}).begin()
    try:
        eventually(lambda: is_live(server), START_WITHIN)
        threading.Timer(0.3, redis.send_signal, [signal.SIGCONT]).start()
        assert push(server, "shop", "the secret of shop").status == 200
    finally:
        redis.send_signal(signal.SIGCONT)
        server.stop()
        redis.stop()


def test_reload_by_request_tells_what_has_changed(server):
    file = server.folder / "cometify.toml"
    before = file.read_text()
    more = [f'\n[[account]]\napi_key = "site{number}"\napi_secret = "secret of site{number}"\n' for number in range(5)]
    file.write_text(before + "".join(more))
    told = api(server, "POST", "/reload")
    assert (told.status, told.json) == (200, {"came": [f"site{n}" for n in range(5)], "changed": {}, "gone": []})
    file.write_text(before)
    refused = api(server, "POST", "/reload")
    assert (refused.status, refused.json["code"]) == (409, "account_conflict")
    assert "the file would drop 5 of 6 accounts" in refused.json["detail"]
    body = form({"text": "y", "secret": "0", "secure": secure("chat", "y", "site1", "secret of site1")})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    eventually(lambda: server.request("POST", "/site1/push/chat", body, kind).status == 200)
    assert len(api(server, "POST", "/reload", {"drop": True}).json["gone"]) == 5
    file.write_text(before.replace("[[account]]", "[[acount]]"))
    refused = api(server, "POST", "/reload")
    assert (refused.status, refused.json["code"]) == (409, "account_conflict")
    assert "acount" in refused.json["detail"]
    file.write_text(before)
