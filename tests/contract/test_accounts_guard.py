"""Those who may read and change accounts on the admin endpoint, and those who may not."""

import json

import pytest

from cometify.core.account import Account
from tests.contract.support import API_KEY, code_of
from tests.memory import Wire, World
from tests.wire import API_SECRET, request_bytes

JSON = "application/json"
TOKEN = "a-token-that-is-long-enough"

pytestmark = pytest.mark.memory  # an engine is not asked here


def ask(world, method="GET", target="/accounts", body=None, host="127.0.0.1", **headers):
    wire = Wire(world, host, world.server.admin)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    wire.receive(request_bytes(method, target, body, named))
    return wire.answer()


@pytest.fixture
def guarded(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return World(admin_token_file=str(file)), file


@pytest.mark.parametrize("path", ["/accounts", f"/accounts/{API_KEY}"])
def test_this_machine_may_read_without_a_token(world, path):
    answer = ask(world, target=path)
    assert answer.status == 200
    assert API_SECRET not in answer.body.decode()
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("10.0.0.1", {}),
        ("127.0.0.1", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
    ],
)
def test_other_machines_need_a_token(world, method, host, headers):
    answer = ask(world, method, f"/accounts/{API_KEY}", b"{}", host, Content_Type=JSON, **headers)
    assert (answer.status, code_of(answer)) == (403, "not_authorized")
    assert "set admin_token_file" in answer.json["detail"]


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
def test_token_is_asked_of_everybody(guarded, host):
    world, file = guarded
    for headers in (
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer another"},
        {"Authorization": f"Basic {TOKEN}"},
    ):
        assert code_of(ask(world, host=host, **headers)) == "not_authorized"
    assert ask(world, host=host, Authorization=f"Bearer {TOKEN}").status == 200
    file.write_text("another-token-of-25-bytes")
    assert ask(world, host=host, Authorization=f"Bearer {TOKEN}").status == 403
    file.unlink()
    assert "cannot be read" in ask(world, host=host, Authorization="Bearer ").json["detail"]


@pytest.mark.parametrize("values", [(TOKEN, "another"), ("another", TOKEN), (TOKEN, TOKEN)])
def test_token_is_sent_once(guarded, values):
    world, _file = guarded
    lines = "".join(f"Authorization: Bearer {value}\r\n" for value in values)
    wire = Wire(world, "127.0.0.1", world.server.admin)
    wire.receive(f"GET /accounts HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    answer = wire.answer()
    assert (answer.status, code_of(answer)) == (400, "repeated_parameter")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "x"), ("DELETE", "x"), ("POST", "x/rotate"), ("POST", "../reload")]
)
@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"]
)
def test_change_needs_json_because_a_form_could_be_sent(world, method, path, kind):
    target = "/reload" if path == "../reload" else f"/accounts/{path}"
    answer = ask(world, method, target, b"{}", **({} if kind is None else {"Content_Type": kind}))
    assert (answer.status, code_of(answer)) == (415, "unsupported_media_type")


def test_token_stands_for_the_content_type(guarded):
    world, _file = guarded
    answer = ask(world, "PUT", "/accounts/x", b"{}", Authorization=f"Bearer {TOKEN}")
    assert code_of(answer) == "account_conflict"  # there is no store


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8082", "Host": "localhost:8082"}, 200),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_page_of_another_origin_is_refused(world, headers, status):
    assert ask(world, **headers).status == status


def test_accounts_are_listed_page_by_page():
    world = World(*[Account(f"site{number}", (API_SECRET,), listeners=5) for number in range(5)])
    first = ask(world, target="/accounts?limit=3").json
    assert ([row["api_key"] for row in first["accounts"]], first["next"]) == (["site0", "site1", "site2"], "site2")
    rest = ask(world, target="/accounts?limit=3&after=site2").json
    assert ([row["api_key"] for row in rest["accounts"]], rest["next"]) == (["site3", "site4"], None)
    assert first["accounts"][0] == {
        "api_key": "site0", "source": "file", "suspended": False, "secrets": 1, "settings": {"listeners": 5},
    }  # fmt: skip
    assert code_of(ask(world, target="/accounts?limt=3")) == "unknown_parameter"


def test_one_account_is_told_with_what_holds_for_it(world):
    told = ask(world, target=f"/accounts/{API_KEY}").json
    assert (told["settings"], told["effective"]["listeners_per_ip"], told["effective"]["origins"]) == ({}, 30, None)
    missing = ask(world, target="/accounts/nobody")
    assert (missing.status, code_of(missing)) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("PUT", "/accounts/new", "account_conflict"),
        ("POST", "/accounts/new/rotate", "account_conflict"),
        ("POST", "/accounts", "method_not_allowed"),
        ("GET", "/accounts/new/rotate", "method_not_allowed"),
        ("GET", "/accounts/new/explode", "not_found"),
        ("PUT", "/accounts/latest", "invalid_parameter"),
        ("PUT", "/accounts/a%20b", "invalid_parameter"),
    ],
)
def test_request_that_cannot_be_met_says_why(world, method, target, code):
    answer = ask(world, method, target, None if method == "GET" else b"{}", Content_Type=JSON)
    assert code_of(answer) == code
    if code == "account_conflict":
        assert 'set accounts = "redis" or accounts = "sqlite:///' in answer.json["detail"]


@pytest.mark.parametrize(
    ("target", "body", "code"),
    [
        ("/accounts/new", "[]", "invalid_body"),
        ("/accounts/new", "{", "invalid_body"),
        ("/accounts/new", '{"listeners":1,"listeners":2}', "repeated_parameter"),
    ],
)
def test_body_that_is_no_object_is_refused(world, target, body, code):
    assert code_of(ask(world, "PUT", target, body.encode(), Content_Type=JSON)) == code


def test_action_takes_no_unknown_parameter(world):
    for body, code in ((b'{"secrt":"new"}', "unknown_parameter"), (b'{"secret":"both"}', "invalid_parameter")):
        assert code_of(ask(world, "POST", "/accounts/new/retire", body, Content_Type=JSON)) == code


def test_reload_of_a_process_without_a_file_is_refused(world):
    assert code_of(ask(world, "POST", "/reload", b"", Content_Type=JSON)) == "account_conflict"
    assert code_of(ask(world, "POST", "/reload", b'{"drop":1}', Content_Type=JSON)) == "invalid_parameter"
    assert json.loads(ask(world).body)["next"] is None
