"""The debugger: each reason why a token or a request is refused is named."""

import hashlib
import json
from urllib.parse import urlencode

import pytest

from cometify.admin.request_check import check_request
from cometify.admin.token_check import check_token
from cometify.core.account import Account
from cometify.core.md5_signature import md5hex, secure, secure_key
from tests.wire import jwt, seal

KEY, SECRET, OLD = "37282591", "dj28DNam!!nx72*", "the older one"
ACCOUNT = Account(KEY, (SECRET, OLD))
NOW = 1_800_000_000
CLAIMS = {"exp": NOW + 60, "identifiers": ["chat", "orders_*"], "sub": "user_7", "iat": NOW - 10}
PATH = f"/{KEY}/push/Chat"


def failed(checks):
    """The checks that failed, by name."""
    return {check.name: check.detail for check in checks if check.passed is False}


# Tokens.


def checked(token, names=(), account=ACCOUNT, revoked=float("-inf")):
    return check_token(account, KEY, token, names, NOW, lambda _subject: revoked)


def test_right_token_passes_each_check():
    checks = checked(jwt(CLAIMS, SECRET), ("chat", "Orders_7"))
    names = [
        "account",
        "form",
        "header",
        "signature",
        "exp",
        "sub",
        "identifiers",
        "covers chat",
        "covers Orders_7",
        "server",
    ]
    assert [check.name for check in checks] == names
    assert failed(checks) == {}


@pytest.mark.parametrize(("secret", "words"), [(SECRET, "the newer API secret"), (OLD, "the older API secret")])
def test_secret_that_signed_a_token_is_named(secret, words):
    details = {check.name: check.detail for check in checked(jwt(CLAIMS, secret))}
    assert words in details["signature"]


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"exp": NOW - 5}, "exp", "5 s ago"),
        ({"exp": NOW * 1000}, "exp", "milliseconds"),
        ({"exp": None}, "exp", "missing"),
        ({"nbf": NOW + 100}, "nbf", "100 s from now"),
        ({"nbf": "soon"}, "nbf", "Unix seconds"),
        ({"sub": 7}, "sub", "string"),
        ({"identifiers": {"chat": 1}}, "identifiers", "array of names"),
        ({"identifiers": []}, "identifiers", "names 0"),
        ({"identifiers": "news"}, "covers chat", "does not name it"),
    ],
)
def test_reason_in_the_claims_of_a_token_is_named(changed, name, words):
    found = failed(checked(jwt({**CLAIMS, **changed}, SECRET), ("chat",)))
    assert words in found[name]


def test_token_of_a_disconnected_visitor_is_told():
    assert "disconnected" in failed(checked(jwt(CLAIMS, SECRET), revoked=NOW))["sub"]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (f"{SECRET}\n", "line end"),
        (f'"{SECRET}"', "quotation marks"),
        (KEY, "API key"),
        (hashlib.sha256(SECRET.encode()).hexdigest(), "hash of the secret"),
        ("another", "another one"),
    ],
)
def test_mistake_in_the_secret_of_a_token_is_named(secret, words):
    found = failed(checked(jwt(CLAIMS, secret)))
    assert words in found["signature"]
    assert "invalid_token" in found["server"]


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("a.b", "form"),
        (f"{jwt(CLAIMS, SECRET)}.x", "form"),
        ("x" * 9000, "form"),
        (f"e30.{jwt(CLAIMS, SECRET).partition('.')[2]}", "header"),
        (f"!!!.{jwt(CLAIMS, SECRET).partition('.')[2]}", "header"),
        ("eyJhbGciOiJIUzI1NiIsImNyaXQiOltdfQ.e30.e30", "header"),
        ("eyJhbGciOiJIUzI1NiJ9.W10.e30", "payload"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.a", "signature"),
    ],
)
def test_fault_in_the_form_of_a_token_is_named(token, name):
    assert name in failed(checked(token))


def test_unknown_api_key_of_a_token_is_named():
    assert failed(checked(jwt(CLAIMS, SECRET), account=None)).keys() == {"account"}


def test_suspended_account_is_named():
    suspended = Account(KEY, (SECRET,), suspended=True)
    assert "suspended" in failed(checked(jwt(CLAIMS, SECRET), account=suspended))["account"]
    assert "suspended" in failed(examined(pasted(signed()), suspended))["account"]


# Requests that are signed with HMAC.

BODY = '{"text":"a private word","secret":0}'
KIND = "application/json"


def pasted(headers, body=BODY, target=PATH, method="POST"):
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\n".join(lines) + f"\n\n{body}"


def examined(text, account=ACCOUNT):
    return check_request({KEY: account}.get, text, NOW)


def signed(body=BODY, kind=KIND, path=PATH, secret=SECRET, timestamp=NOW, key="", method="POST"):
    return seal(path, body.encode(), timestamp, "n" * 16, secret, kind, key, method)


def test_right_signature_passes_each_check():
    checks = examined(pasted(signed()))
    assert [check.name for check in checks] == ["account", "headers", "timestamp", "signature", "server"]
    assert failed(checks) == {}


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({**signed(kind=""), "Content-Type": KIND}, "no Content-Type"),
        ({**signed(kind="application/json; charset=utf-8"), "Content-Type": KIND}, "charset"),
        (signed(body=f"{BODY}\n"), "line end behind"),
        (signed(body=""), "empty body"),
        (signed(path=f"{PATH}?x=1"), "another one"),
        (signed(path=PATH.lower()), "lower case"),
        (signed(path=f"{PATH}/"), "slash at its end"),
        (signed(path=PATH[1:]), "first slash"),
        (signed(method="post"), "method in lower case"),
        ({**signed(), "Idempotency-Key": "once"}, "Idempotency-Key"),
        (signed(secret=f"{SECRET}\n"), "line end behind the secret"),
        (signed(secret=f" {SECRET}"), "space before the secret"),
        (signed(secret=f"{SECRET} "), "space behind the secret"),
        (signed(secret=KEY), "API key"),
        (signed(secret="another"), "another one"),
    ],
)
def test_mistake_in_a_signature_is_named(headers, words):
    found = failed(examined(pasted(headers)))
    assert words in found["signature"]
    assert "not_authorized" in found["server"]


def test_signature_of_a_path_with_its_query_is_named():
    target = f"/{KEY}/identifiers?limit=5"
    headers = signed(body="", kind="", path=target, method="GET")
    assert "with the query" in failed(examined(pasted(headers, "", target, "GET")))["signature"]


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [(NOW - 400, "behind"), (NOW + 400, "ahead of"), (NOW * 1000, "milliseconds"), ("now", "digits")],
)
def test_wrong_timestamp_is_named(timestamp, words):
    assert words in failed(examined(pasted(signed(timestamp=timestamp))))["timestamp"]


def test_missing_header_of_a_signature_is_named():
    headers = signed()
    del headers["Cometify-Nonce"]
    assert "cometify-nonce" in failed(examined(pasted(headers)))["headers"]


# Requests with the API secret itself, or with MD5.


@pytest.mark.parametrize(
    ("value", "account", "name"),
    [
        (f"Bearer {SECRET}", ACCOUNT, None),
        (f"Basic {SECRET}", ACCOUNT, "scheme"),
        ("Bearer another", ACCOUNT, "secret"),
        (f"Bearer {SECRET}", Account(KEY, (SECRET,), signatures="v2"), "signatures"),
    ],
)
def test_reason_for_a_refused_bearer_is_named(value, account, name):
    assert failed(examined(pasted({"Authorization": value}), account)).keys() == ({name} - {None})


def form(name="Chat", text=" 5 € ", signed_as=None, **more):
    given = secure(KEY, SECRET, name, text) if signed_as is None else signed_as
    return urlencode({"text": text, "secret": "0", "secure": given, **more})


def md5_push(body, account=ACCOUNT):
    return failed(examined(pasted({"Content-Type": "application/x-www-form-urlencoded"}, body), account))


def test_right_secure_passes_each_check():
    assert md5_push(form()) == {}
    assert md5_push(form("Other", identifier="Other")) == {}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (secure(KEY, SECRET, "chat", " 5 € "), "lower case"),
        (secure(KEY, SECRET, "Chat", "+5+%E2%82%AC+"), "urlencoded"),
        (secure(KEY, SECRET, "Chat", " 5 € \n"), "line end"),
        (secure(KEY, SECRET, "Chat", "5 €"), "white space"),
        (md5hex(KEY + SECRET + "Chat" + " 5 € "), "not hashed"),
        (md5hex(KEY + md5hex(SECRET) + " 5 € " + "Chat"), "before the identifier"),
        (secure(KEY, f"{SECRET}\n", "Chat", " 5 € "), "line end behind the secret"),
        ("0" * 32, "another one"),
    ],
)
def test_mistake_in_secure_is_named(given, words):
    assert words in md5_push(form(signed_as=given))["secure"]


def test_other_reasons_for_a_refused_secure_are_named():
    assert "secure" in md5_push(urlencode({"text": "x", "secret": "0"}))["parameters"]
    assert "HMAC" in md5_push(form(), Account(KEY, (SECRET,), signatures="strong"))["signatures"]


def listening(names, key):
    return failed(examined(f"GET /{KEY}/stream?{urlencode({'identifiers': names, 'secureKey': key})}"))


@pytest.mark.parametrize(
    ("names", "key", "words"),
    [
        ("chat:5,News:0", secure_key(KEY, SECRET, "chat:5,News:0"), "internal ids"),
        ("news,chat", secure_key(KEY, SECRET, "chat,news"), "another order"),
        ("News,chat", secure_key(KEY, SECRET, "news,chat"), "lower case"),
        ("news,chat", secure_key(KEY, SECRET, "news, chat"), "space behind each comma"),
        ("news,chat", secure_key(KEY, md5hex(SECRET), "news,chat"), "md5hex of the secret"),
        ("news,chat", secure_key(KEY, SECRET, "chat"), "for chat alone"),
        ("news,chat", secure_key(KEY, KEY, "news,chat"), "API key"),
        ("news,chat", "0" * 32, "another one"),
    ],
)
def test_mistake_in_a_secure_key_is_named(names, key, words):
    assert words in listening(names, key)["secureKey"]


def test_right_secure_key_passes():
    assert listening("News,chat", secure_key(KEY, SECRET, "News,chat")) == {}


@pytest.mark.parametrize("text", ["", "hello", "{}"])
def test_text_that_is_no_request_is_told(text):
    assert "Paste a whole request" in failed(examined(text))["request"]


def test_unknown_api_key_of_a_request_is_named():
    assert failed(examined("POST /nobody/push/chat HTTP/1.1\n\n")).keys() == {"account"}


@pytest.mark.parametrize(
    "checks",
    [
        checked(jwt({**CLAIMS, "exp": 0}, "another"), ("chat",)),
        examined(pasted(signed(secret="another"))),
        md5_push(form(text="a private word", signed_as="0" * 32)),
    ],
)
def test_checks_repeat_no_secret_and_no_text(checks):
    told = json.dumps(checks, default=str)
    for secret in (SECRET, OLD, "a private word", jwt(CLAIMS, SECRET)[-20:], "0" * 32):
        assert secret not in told
