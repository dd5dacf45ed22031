"""`cometify account`: the accounts of a real server from a terminal."""

import json
import signal

import pytest
from click.testing import CliRunner

from cometify.command.main import main
from tests.conftest import Server, assert_clean
from tests.wire import API_KEY, eventually

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "token").write_text(TOKEN)
    options = {"accounts": f"sqlite://{folder}/accounts.db", "admin_token_file": str(folder / "token")}
    server = Server(folder, options, {}).start()
    yield server
    assert server.stop() == -signal.SIGTERM
    assert_clean(server.log.read_text())


@pytest.fixture
def run(server, monkeypatch):
    """Run `cometify account` in the folder of the server."""
    monkeypatch.chdir(server.folder)

    def run(*words, status=0, **more):
        result = CliRunner().invoke(main, ["account", *words], **more)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output.strip()

    return run


def push(server, key, secret):
    body = json.dumps({"text": "x", "secret": 0}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {secret}"}
    return server.request("POST", f"/{key}/push/chat", body, headers)


def secret_of(output):
    (line,) = [line for line in output.splitlines() if line.startswith("API secret ")]
    return line.removeprefix("API secret ")


def test_life_of_an_account_at_a_terminal(run, server):
    first = secret_of(run("add", "shop", "listeners=5", "private=orders,user_*", "signatures=strong"))
    assert push(server, "shop", first).status == 200
    table = run("list")
    assert all(word in table for word in (API_KEY, "shop", "active", "file", "store", "listeners=5"))
    run("set", "shop", "listeners=", "pushes_per_second=7", "origins=https://a.example,https://b.example")
    shown = json.loads(run("show", "shop", "--json"))
    assert shown["settings"] == {
        "private": ["orders", "user_*"], "signatures": "strong", "pushes_per_second": 7,
        "origins": ["https://a.example", "https://b.example"],
    }  # fmt: skip
    assert "https://a.example,https://b.example  its own" in run("show", "shop").replace("   ", "  ").replace(
        "   ", "  "
    )
    second = secret_of(run("rotate", "shop"))
    assert [push(server, "shop", secret).status for secret in (first, second)] == [200, 200]
    assert run("retire", "shop") == "shop has its old secret no longer."
    assert [push(server, "shop", secret).status for secret in (first, second)] == [403, 200]
    third = secret_of(run("rotate", "shop"))
    run("retire", "shop", "--new")
    assert [push(server, "shop", secret).status for secret in (third, second)] == [403, 200]
    assert run("suspend", "shop") == "shop is suspended."
    usage = json.loads(run("usage", "shop", "--json"))
    assert usage["hour"]["pushes"] == 5
    assert usage["hour"]["refused"] == {"not_authorized": 2}
    lines = run("usage", "shop").splitlines()
    assert lines[0].startswith("Listeners now: 0.")
    assert [line.split()[:3] for line in lines[2:]] == [
        ["this", "hour", "5"], [usage["days"][0]["begins"][:10], "5", "5"]
    ]  # fmt: skip
    assert push(server, "shop", second).json["code"] == "account_suspended"
    assert "suspended" in run("list")
    assert run("resume", "shop") == "shop goes on."
    assert "Aborted" in run("remove", "shop", status=1, input="n\n")
    assert run("remove", "shop", "--yes") == "shop was removed."
    assert push(server, "shop", second).status == 403


def test_key_is_made_and_a_secret_can_be_brought_along(run, server, tmp_path):
    made = json.loads(run("add", "--json"))
    assert made["api_key"].isdigit()
    assert len(made["api_key"]) == 8
    (tmp_path / "secret").write_text("the secret that it had\n")
    assert run("add", "blog", "--secret-file", str(tmp_path / "secret")) == "blog was added."
    assert push(server, "blog", "the secret that it had").status == 200
    for key in (made["api_key"], "blog"):
        run("remove", key, "--yes")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "nobody"], 3, "There is no account nobody"),
        (["add", "new", "listeners=0"], 3, "listeners: must be a whole number of at least 1."),
        (["add", "new", "colour=red"], 3, "colour: there is no such key; the keys are"),
        (["add", API_KEY], 3, "one of the configuration file"),
        (["set", API_KEY, "listeners=5"], 3, "one of the configuration file"),
        (["set", "shop"], 2, "Give at least one NAME=VALUE."),
        (["set", "shop", "listeners"], 2, "is not NAME=VALUE"),
        (["list", "--admin", "http://127.0.0.1:1"], 4, "does not answer: Connection refused"),
        (["list", "--admin", "ftp://x"], 1, "is not the URL of an admin endpoint"),
        (["list", "--token-file", "/none"], 1, "/none: the admin token cannot be read"),
        (["list", "--config", "none.toml"], 1, "none.toml: cannot be read"),
    ],
)
def test_error_says_what_to_do_and_has_its_status(run, words, status, said):
    assert said in run(*words, status=status)


def test_token_comes_from_the_environment_too(run, server, tmp_path, monkeypatch):
    url = f"http://127.0.0.1:{server.admin_port}"
    monkeypatch.chdir(tmp_path)
    assert "Send Authorization: Bearer {token}" in run("list", "--admin", url, status=3)
    assert API_KEY in run("list", env={"COMETIFY_ADMIN": url, "COMETIFY_ADMIN_TOKEN": TOKEN})
    assert API_KEY in run(
        "list", env={"COMETIFY_ADMIN": url, "COMETIFY_ADMIN_TOKEN_FILE": str(server.folder / "token")}
    )


def test_reload_at_a_terminal_tells_what_has_changed(run, server):
    file = server.folder / "cometify.toml"
    before = file.read_text()
    more = [f'\n[[account]]\napi_key = "site{number}"\napi_secret = "secret of site{number}"\n' for number in range(3)]
    file.write_text(before + "".join(more))
    assert run("reload") == "came: site0, site1, site2"
    file.write_text(before)
    assert "the file would drop 3 of 4 accounts" in run("reload", status=3)
    assert run("reload", "--drop") == "gone: site0, site1, site2"
    assert run("reload") == "No account has changed."
    eventually(lambda: "gone: site0, site1, site2" in server.log.read_text())
