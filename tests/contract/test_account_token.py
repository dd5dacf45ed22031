"""An account's token reads usage and identifiers, and neither listens nor pushes. A listener's token reads neither."""

import json

import pytest

from cometify.config.settings_file import load
from cometify.core.account import Account
from cometify.core.account_token import make_account_token
from cometify.core.token import make_token
from tests.contract.support import API_KEY, API_SECRET, TRANSPORTS, by_frame, by_query, code_of, refusal
from tests.memory import World
from tests.wire import jwt, request_bytes

OTHER = "site02"
READ = ("usage", "identifiers", "identifiers/chat")
NOT_READ = ("identifiers/chat/pushes",)


@pytest.fixture
def world(engine):
    return World(Account(API_KEY, (API_SECRET, "the older secret")), Account(OTHER, (API_SECRET,)))


def token_of(world, key=API_KEY, secret=API_SECRET, lasts=60):
    return make_account_token(secret, key, int(world.wall()) + lasts, int(world.wall()))


def ask(world, path, token, key=API_KEY, host="127.0.0.1", method="GET", body=None, **more):
    wire = world.connect(host)
    headers = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in more.items()}}
    wire.receive(request_bytes(method, f"/{key}/{path}", body, headers))
    return wire.answer()


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("secret", [API_SECRET, "the older secret"])
def test_token_of_an_account_reads_usage_and_identifiers(world, path, secret):
    assert ask(world, path, token_of(world, secret=secret)).status == 200


@pytest.mark.parametrize("path", NOT_READ)
def test_token_of_an_account_reads_no_text_of_a_push(world, path):
    assert code_of(ask(world, path, token_of(world))) == "not_authorized"


def test_token_of_an_account_pushes_and_disconnects_nothing(world):
    token = token_of(world)
    for path, body in (
        ("push/chat", {"text": "x", "secret": 0}),
        ("push", [{"identifier": "chat", "text": "x", "secret": 0}]),
        ("disconnect", {"subject": "user_7"}),
    ):
        answer = ask(world, path, token, method="POST", body=json.dumps(body).encode(), Content_Type="application/json")
        assert code_of(answer) == "not_authorized", path


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("more", [{}, {"identifiers": ["chat"]}])
def test_token_of_an_account_is_no_listeners_token(world, transport, more):
    claims = {"exp": world.wall() + 60, "scope": "account", "api_key": API_KEY, **more}
    for wire in (
        by_query(world, transport, f"identifiers=chat&token={jwt(claims)}"),
        *([] if transport == "events" else [by_frame(world, transport, {"identifiers": "chat", "token": jwt(claims)})]),
    ):
        assert refusal(wire)[0] == "invalid_token"


@pytest.mark.parametrize("path", READ)
def test_listeners_token_is_no_token_of_an_account(world, path):
    now = int(world.wall())
    assert code_of(ask(world, path, make_token(API_SECRET, ["chat", "*"], now + 60, now))) == "invalid_token"
    for claims in (
        {"identifiers": ["*"], "api_key": API_KEY},
        {"identifiers": ["*"], "api_key": API_KEY, "scope": "account"},
        {"api_key": API_KEY},
        {"api_key": API_KEY, "scope": ["account"]},
        {"scope": "account"},
    ):
        assert code_of(ask(world, path, jwt({"exp": now + 60, **claims}))) == "invalid_token", claims


def test_token_fits_one_account_also_with_the_same_secret(world):
    assert code_of(ask(world, "usage", token_of(world), key=OTHER)) == "invalid_token"
    assert ask(world, "usage", token_of(world, key=OTHER), key=OTHER).status == 200


def test_token_ends_at_its_exp_and_must_have_one(world):
    token = token_of(world, lasts=5)
    assert ask(world, "usage", token).status == 200
    world.advance(6)
    assert code_of(ask(world, "usage", token)) == "invalid_token"
    assert code_of(ask(world, "usage", jwt({"scope": "account", "api_key": API_KEY}))) == "invalid_token"


def test_unknown_api_key_is_refused_as_a_wrong_signature(world):
    """Everybody knows the secrets that stand in for those of an unknown account."""
    wrong = ask(world, "usage", token_of(world, secret="another secret"))
    for secret in ("nobody's secret", "nobody's other secret", "another secret"):
        unknown = ask(world, "usage", token_of(world, "unknown", secret), key="unknown")
        assert (unknown.status, unknown.body) == (wrong.status, wrong.body)
    assert code_of(wrong) == "invalid_token"


def test_token_is_not_taken_in_clear_text(world):
    assert code_of(ask(world, "usage", token_of(world), host="10.0.0.1")) == "not_authorized"


def test_account_that_takes_signatures_alone_takes_its_tokens():
    world = World(Account(API_KEY, (API_SECRET,), signatures="v2"))
    assert ask(world, "usage", token_of(world)).status == 200
    assert code_of(ask(world, "usage", API_SECRET)) == "not_authorized"


def test_api_secret_in_the_form_of_a_token_is_a_secret():
    world = World(Account(API_KEY, ("aaa.bbb.ccc",)))
    for path in (*READ, *NOT_READ):
        assert ask(world, path, "aaa.bbb.ccc").status == 200
    assert code_of(ask(world, "usage", "aaa.bbb.ccd")) == "invalid_token"


def test_usage_names_the_live_secrets_and_shows_none(world):
    answer = ask(world, "usage", token_of(world))
    assert answer.json["secrets"] == ["newest", "older"]
    assert ask(world, "usage", token_of(world, OTHER), key=OTHER).json["secrets"] == ["newest"]
    assert API_SECRET.encode() not in answer.body


def test_refused_tokens_are_counted_for_the_account(world):
    ask(world, "usage", token_of(world, secret="another secret"))
    world.advance(6)
    assert ask(world, "usage", token_of(world)).json["hour"]["refused"] == {"invalid_token": 1}


def test_page_is_served_with_a_strict_policy(world):
    answer = world.request("GET", "/account").answer()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert b"//" not in answer.body.replace(b"<!doctype html>", b"").replace(b"http://www.w3.org", b"")
    for name, kind in (("account.css", "text/css"), ("account.js", "text/javascript")):
        part = world.request("GET", f"/account/{name}").answer()
        assert (part.status, part.headers["content-type"]) == (200, f"{kind}; charset=utf-8")


def test_page_is_off_with_the_other_pages():
    world = World(pages=False)
    for path in ("/account", "/account/account.js"):
        assert code_of(world.request("GET", path).answer()) == "not_found"


def test_account_is_no_api_key(tmp_path):
    file = tmp_path / "cometify.toml"
    file.write_text(f'[[account]]\napi_key = "account"\napi_secret = "{API_SECRET}"\n')
    with pytest.raises(Exception, match='"account" is a path of the server itself'):
        load(str(file), {})


@pytest.mark.memory
def test_token_is_not_refused_before_the_accounts_are_known():
    world = World(Account(OTHER, (API_SECRET,)))
    world.server.accounts.is_complete = False
    answer = ask(world, "usage", token_of(world))
    assert (answer.status, code_of(answer)) == (503, "engine_unavailable")


@pytest.mark.memory
def test_suspended_account_reads_its_usage_by_token_or_secret():
    world = World(Account(API_KEY, (API_SECRET,), suspended=True))
    assert ask(world, "usage", token_of(world)).status == 200
    assert ask(world, "usage", API_SECRET).status == 200
    assert code_of(ask(world, "usage", "guessed")) == "not_authorized"
    assert code_of(ask(world, "identifiers", API_SECRET)) == "account_suspended"
