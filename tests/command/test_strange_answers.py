"""Commands whose answer is whole JSON and none of Cometify's, or comes by the byte: one clear line, and the exit status."""

import copy
import json
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cometify.command.accounts import admin_client
from cometify.command.main import main
from tests.client.conftest import scripted  # noqa: F401 - a fixture
from tests.client.scripted import PUSHED, answering
from tests.command.test_doctor import examine, faults

ACCOUNT = {
    "api_key": "shop", "source": "store", "suspended": False, "secrets": 1, "settings": {"listeners": 5},
    "effective": {"listeners": 5}, "created": 1_700_000_000, "changed": 1_700_000_000, "tag": "1-2",
}  # fmt: skip
PERIOD = {
    "begins": "2026-01-01T00:00:00Z", "pushes": 1, "push_bytes": 1, "deliveries": 1, "delivered_bytes": 1, "gaps": 0,
    "most_listeners": 1, "refused": {"x": 1},
}  # fmt: skip
USAGE = {"listeners": 1, "secrets": ["newest"], "hour": PERIOD, "days": [PERIOD]}
CHANGES = {
    "add": (["add", "shop"], {**ACCOUNT, "api_secret": "secret"}),
    "set": (["set", "shop", "listeners=6"], ACCOUNT),
    "suspend": (["suspend", "shop"], ACCOUNT),
    "resume": (["resume", "shop"], ACCOUNT),
    "rotate": (["rotate", "shop"], {**ACCOUNT, "api_secret": "secret"}),
    "retire": (["retire", "shop"], ACCOUNT),
    "remove": (["remove", "shop", "--yes"], {"api_key": "shop", "removed": True}),
    "reload": (["reload"], {"came": ["a"], "changed": {"b": ["listeners"]}, "gone": []}),
}
ASKED = {
    "list": (["list"], {"accounts": [ACCOUNT], "next": None}),
    "show": (["show", "shop"], ACCOUNT),
    "usage": (["usage", "shop"], USAGE),
}
ACCOUNTS = {name: (["account", *words], answer) for name, (words, answer) in (CHANGES | ASKED).items()}
"""Each command that asks the admin endpoint, and a right answer."""
PUSHES = {
    "push": (["push", "chat", "x"], PUSHED),
    "position": (["position"], {"position": 5}),
    "usage of a client": (["usage"], USAGE),
}
STRANGE = [{}, [], None, "text", 5, {"status": "ok"}, {"accounts": None, "next": None}, {"detail": 5}, b"<html>"]
NOT_OURS = "is not an admin endpoint of Cometify: it answers 200"


def run(server, words):
    """Run a command. Returns its exit status and its output."""
    at = ["--admin", f"http://127.0.0.1:{server.port}"] if words[0] == "account" else ["--url", server.url]
    result = CliRunner().invoke(main, [*words, *at])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, result.output


@pytest.mark.parametrize("name", ACCOUNTS | PUSHES)
def test_right_answer_is_told(scripted, name):  # noqa: F811 - the fixture
    words, answer = (ACCOUNTS | PUSHES)[name]
    for more in ([], ["--json"]):
        status, output = run(scripted(answering(200, answer)), [*words, *more])
        assert status == 0, output


@pytest.mark.parametrize("name", ACCOUNTS)
def test_answer_of_another_program_is_told_in_one_line(scripted, name):  # noqa: F811 - the fixture
    words, _answer = ACCOUNTS[name]
    for strange in STRANGE:
        status, output = run(scripted(answering(200, strange)), words)
        assert (status, output.count("\n")) == (3, 1), output
        assert NOT_OURS in output
        assert "Give the server's admin endpoint with --admin URL." in output
        assert ("The change may have been made" in output) == (name in CHANGES and name != "set")  # which reads first


@pytest.mark.parametrize("name", [name for name, (_words, answer) in CHANGES.items() if "api_secret" in answer])
def test_new_secret_is_shown_although_the_answer_lacks_the_key(scripted, name):  # noqa: F811 - the fixture
    words, answer = CHANGES[name]
    status, output = run(scripted(answering(200, {"api_secret": answer["api_secret"]})), ["account", *words])
    assert status == 0, output
    assert answer["api_secret"] in output


def test_redirect_with_json_is_no_success(scripted):  # noqa: F811 - the fixture
    status, output = run(scripted(answering(302, ACCOUNT)), ["account", "suspend", "shop"])
    assert status == 3
    assert "it answers 302" in output


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just(10**400)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, at=()):
    """The paths of all parts of a JSON value."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(list(ACCOUNTS | PUSHES)), st.data())
def test_no_answer_makes_a_traceback(scripted, name, data):  # noqa: F811 - the fixture
    words, answer = (ACCOUNTS | PUSHES)[name]
    changed = {"": copy.deepcopy(answer)}
    path = data.draw(st.sampled_from([("", *path) for path in places(answer)]))
    part = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = data.draw(JSON)
    server = scripted(answering(200, changed[""]))
    try:
        status, output = run(server, words)
    finally:
        server.close()
    assert status in (0, 3, 4, 5)
    if status:
        assert output.startswith("Error: ")
        assert output.count("\n") == 1


def by_the_byte(served):
    served.request()
    served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    served.drip(b"[" * 10_000)


def pages_without_an_end(served):
    served.request()
    served.answer(200, {"accounts": [], "next": f"{len(served.requests):05d}"}, Connection="close")


@pytest.mark.parametrize("script", [by_the_byte, lambda served: served.request() and served.exactly(1)])
@pytest.mark.parametrize("name", ACCOUNTS)
def test_answer_that_does_not_end_is_given_up(scripted, monkeypatch, script, name):  # noqa: F811 - the fixture
    monkeypatch.setattr(admin_client, "WITHIN", 0.3)
    words, _answer = ACCOUNTS[name]
    began = time.monotonic()
    status, output = run(scripted(script), words)
    assert time.monotonic() - began < 10
    assert status == 4
    assert "gives no whole answer: no answer in time." in output or "gives no whole answer: timed out." in output
    assert ("The change may have been made" in output) == (name in CHANGES.keys() - {"set"})


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [(pages_without_an_end, 4, "no answer in time."), (answering(200, {"accounts": [], "next": "a"}), 3, NOT_OURS)],
    ids=["ascending", "the same again"],
)
def test_list_without_an_end_is_given_up(scripted, monkeypatch, script, status, said):  # noqa: F811 - the fixture
    monkeypatch.setattr(admin_client, "ALL_WITHIN", 1.0)
    server = scripted(script)
    told, output = run(server, ["account", "list"])
    assert told == status
    assert said in output or "timed out." in output
    assert len(server.requests) > 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999", "http://[::1", "http://a b", "http://x:y", "http://", "//x", "http://u:p@h"]
)
def test_url_of_an_admin_endpoint_is_checked(url):
    result = CliRunner().invoke(main, ["account", "list", "--admin", url])
    assert result.exit_code == 1
    assert "is not the URL of an admin endpoint: write http://127.0.0.1:8082." in result.output


@pytest.mark.parametrize("token", ["two\nlines", "caf\u00e9", "\x1b[31m"])
def test_token_that_cannot_be_sent_is_told(tmp_path, token):
    (tmp_path / "token").write_text(token, "utf-8")
    words = ["account", "list", "--admin", "http://127.0.0.1:1", "--token-file", str(tmp_path / "token")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.output.endswith("the admin token must be one line of printable ASCII characters.\n")


def test_key_that_is_no_utf8_is_asked_for(scripted):  # noqa: F811 - the fixture
    status, _output = run(
        scripted(answering(404, {"code": "not_found", "detail": "no"})), ["account", "show", "\udcff"]
    )
    assert status == 3


@contextmanager
def odd_server(answers, date):
    """A server that gives each path an answer of its own. Returns its port."""

    class Odd(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = self.path.rpartition("/")[2]
            body = answers.get(path, b"{}")
            self.send_response_only(200 if path in answers else 404)
            self.send_header("Date", date)
            self.send_header("Content-Type", "application/problem+json; \xff")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_arguments: None  # the doctor leaves
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("document", "position", "date", "metrics", "ready"),
    [
        ({"info": []}, {"position": 10**400}, "nonsense", b"\xff", {"reason": ["x"]}),
        ({"info": {"version": "\u00b2.5"}}, {"position": -5}, "Mon, 01 Jan 0001 00:00:00 GMT", b"{{{", {"reason": 5}),
        ({"info": {"version": "9" * 5000}}, {"position": []}, "Mon, 01 Jan 9999 99:99:99 +9999", b'a{b="', []),
        ([], None, "\xff", b"# TYPE a a\na 5 x", None),
    ],
)
def test_doctor_bears_every_answer(document, position, date, metrics, ready):
    answers = {
        "openapi.json": json.dumps(document).encode(),
        "position": json.dumps(position).encode(),
        "metrics": metrics,
        "ready": json.dumps(ready).encode(),
    }
    with odd_server(answers, date) as port:
        status, findings = examine(port, "--admin", f"http://127.0.0.1:{port}", patience="1")
    assert status == 1
    assert faults(findings)


def test_doctor_bears_a_wrong_url_of_the_admin_endpoint(scripted):  # noqa: F811 - the fixture
    status, findings = examine(scripted(answering(404, {})).port, "--admin", "http://127.0.0.1:port", patience="1")
    assert status == 1
    assert "no_admin" in faults(findings).values()
