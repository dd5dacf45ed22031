"""`cometify push`, `cometify position` and `cometify usage`, as somebody at a terminal runs them."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from cometify.command.main import main
from tests.client.conftest import scripted  # noqa: F401 - a fixture
from tests.client.scripted import answering, problem
from tests.wire import API_KEY, API_SECRET


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder. Returns what it prints, on standard output and on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMETIFY_URL", raising=False)

    def run(*arguments, status=0, stdin=None, **variables):
        result = CliRunner().invoke(main, arguments, env=variables, input=stdin)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert API_SECRET not in result.output
        return result.stdout, result.stderr

    return run


def url(server):
    return f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"


def frames(server, identifier, since):
    listen = {"groups": [{"identifiers": [identifier], "position": since}]}
    return [frame for frame in server.poll(listen).frames if frame["type"] == "push"]


def test_push_prints_where_it_went(server, run):
    since = int(run("position", "--url", url(server))[0])
    printed, _errors = run("push", "Chat", "Hello world!", "--id", "7", COMETIFY_URL=url(server))
    (frame,) = frames(server, "chat", since)
    assert (frame["text"], frame["push_id"]) == ("Hello world!", 7)
    assert printed == f"chat {frame['position']}: listeners 0\n"


def test_data_and_event_are_pushed(server, run):
    since = json.loads(run("position", "--json", "--url", url(server))[0])["position"]
    run("push", "orders", "--data", '{"id": [1, null, 9007199254740993]}', "--event", "created", "--url", url(server))
    run("push", "orders", "--data", "null", "--url", url(server))
    one, two = frames(server, "orders", since)
    assert (one["data"], one["event"]) == ({"id": [1, None, 9007199254740993]}, "created")
    assert two["data"] is None


@pytest.mark.parametrize(("stdin", "text"), [("Grüße\n", "Grüße"), ("two\nlines\n\n", "two\nlines\n"), ("", "")])
def test_text_comes_from_standard_input(server, run, stdin, text):
    since = int(run("position", "--url", url(server))[0])
    run("push", "stdin", "-", "--url", url(server), stdin=stdin.encode())
    run("push", "stdin", "--data", "-", "--url", url(server), stdin='{"a":1}')
    one, two = frames(server, "stdin", since)
    assert (one["text"], two["data"]) == (text, {"a": 1})


def test_usage_is_printed_by_day_and_as_json(server, run):
    run("push", "chat", "one", "--url", url(server))
    run("push", "chat room", "two", "--url", url(server), status=3)
    told = json.loads(run("usage", "--json", "--url", url(server))[0])
    day = told["days"][0]
    assert (len(told["days"]), told["secrets"]) == (31, ["newest"])
    assert day["pushes"] >= 1
    assert day["refused"]["invalid_identifier"] >= 1
    head, names, *rows = run("usage", COMETIFY_URL=url(server))[0].splitlines()
    assert head == f"Listeners now: {told['listeners']}. Days are those of UTC."
    assert names.split() == ["pushes", "bytes", "deliveries", "bytes", "listeners", "at", "most", "refused"]
    assert rows[0].startswith("this hour")
    today = next(row for row in rows if row.startswith(day["begins"][:10]))
    assert today.split()[1:6] == [
        str(day[name]) for name in ("pushes", "push_bytes", "deliveries", "delivered_bytes", "most_listeners")
    ]
    assert "invalid_identifier" in today
    assert "cannot be reached" in run("usage", "--url", f"http://{API_KEY}:s@127.0.0.1:1", status=4)[1]


def test_account_and_server_come_from_the_configuration_file(server, run):
    config = str(server.folder / "cometify.toml")
    assert tomllib.loads((server.folder / "cometify.toml").read_text())["account"]
    assert run("push", "chat", "from the file", "--secret", "--config", config)[0].startswith("chat ")
    assert int(run("position", "--config", config)[0]) > 0
    assert "no cometify.toml here" in run("position", status=1)[1]


def test_file_without_a_port_needs_a_url(run, tmp_path):
    account = f'[[account]]\napi_key = "{API_KEY}"\napi_secret = "{API_SECRET}"\n'
    (tmp_path / "cometify.toml").write_text(f'http = ["unix:socket"]\n{account}')
    assert "give --url" in run("position", status=1)[1]


def test_key_pushes_once_and_json_tells_it(server, run):
    arguments = ("push", "chat", "once", "--idempotency-key", "order 5", "--json", "--url", url(server))
    one, two = (json.loads(run(*arguments)[0]) for _ in range(2))
    assert (one["duplicate"], two["duplicate"]) == (False, True)
    assert one["position"] == two["position"]
    assert set(one) == {"identifier", "push_id", "position", "listeners", "duplicate"}


def test_refusal_ends_with_its_own_status(server, run):
    printed, errors = run("push", "chat room", "text", "--json", "--url", url(server), status=3)
    assert json.loads(printed)["code"] == "invalid_identifier"
    assert "is not an identifier" in errors


def test_refused_account_is_told_by_where_it_stands(server, run, tmp_path):
    wrong = f"http://{API_KEY}:wrong@127.0.0.1:{server.port}"
    (tmp_path / "cometify.toml").write_text(
        f'http = ["tcp:{server.port}"]\n[[account]]\napi_key = "{API_KEY}"\napi_secret = "wrong"\n'
    )
    refusals = {
        "--url": run("push", "chat", "text", "--json", "--url", wrong, status=3),
        "the variable COMETIFY_URL": run("push", "chat", "text", "--json", status=3, COMETIFY_URL=wrong),
        "cometify.toml": run("push", "chat", "text", "--json", status=3),
    }
    for source, (printed, errors) in refusals.items():
        assert source in errors
        assert json.loads(printed)["detail"] in errors
        assert "HMAC" not in errors
    bearer = run("push", "chat", "text", "--url", f"{wrong}?bearer=1", status=3)[1]
    assert "?bearer=1" in bearer
    assert "Authorization" not in bearer
    unknown = f"http://nobody:{API_SECRET}@127.0.0.1:{server.port}"
    assert "does not know the API key in --url" in run("position", "--url", unknown, status=3)[1]


@pytest.mark.parametrize(
    ("code", "detail", "told"),
    [
        ("must_be_secret", "Send secret=1.", "add --secret"),
        ("idempotency_mismatch", "Make a new Idempotency-Key.", "--idempotency-key was used"),
        ("not_authorized", "Cometify-Timestamp is 400 seconds behind this server's clock.", "differ by 400 seconds"),
        ("not_authorized", "It crossed a network without TLS.", "leave ?bearer=1 out of --url"),
        ("text_too_long", "The text is too long.", "The text is too long."),
    ],
)
def test_refusal_names_the_option_to_correct(run, scripted, code, detail, told):  # noqa: F811 - the fixture
    server = scripted(answering(403, {"code": code, "detail": detail}))
    assert told in run("push", "chat", "text", "--url", server.url, status=3)[1]


def test_server_that_is_away_ends_with_its_own_status(run, scripted):  # noqa: F811 - the fixture
    server = scripted(answering(503, problem("draining"), Retry_After="60"))
    printed, errors = run("push", "chat", "text", "--json", "--url", server.url, status=4)
    assert json.loads(printed)["retry_after"] == 60
    assert "Do this." in errors
    server.close()
    assert "cannot be reached" in run("position", "--timeout", "0.2", "--url", server.url, status=4)[1]


def test_doubt_ends_with_its_own_status_and_tells_the_key(run, scripted):  # noqa: F811 - the fixture
    server = scripted(answering(503, problem("engine_unavailable"), Retry_After="60"))
    printed, errors = run("push", "chat", "text", "--json", "--url", server.url, status=5)
    key = json.loads(printed)["idempotency_key"]
    assert f"--idempotency-key {key}" in errors
    assert server.requests[0].headers["idempotency-key"] == key


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["push", "chat"], 2),
        (["push", "chat", "text", "--data", "1"], 2),
        (["push", "chat", "--data", "{"], 2),
        (["push", "chat", "text", "--id", "-1"], 2),
        (["push", "chat", "text", "--timeout", "0"], 1),
        (["push", "chat", "text", "--idempotency-key", "\n"], 1),
    ],
)
def test_wrong_arguments_are_refused_unsent(run, arguments, status):
    assert "Error: " in run(*arguments, "--url", f"http://{API_KEY}:{API_SECRET}@127.0.0.1:1", status=status)[1]


def test_input_that_is_no_utf_8_is_refused(run):
    arguments = ("push", "chat", "-", "--url", f"http://{API_KEY}:{API_SECRET}@127.0.0.1:1")
    assert "not UTF-8" in run(*arguments, status=1, stdin=b"\xff")[1]
