"""The command `cometify`, as somebody at a terminal runs it."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import suppress

import pytest
from click.testing import CliRunner

from bench.rig.ports import free_ports
from cometify.command.main import main
from cometify.core.account_token import read_account_token
from cometify.core.errors import Refused
from cometify.core.md5_signature import secure_key
from cometify.core.token import read_token
from tests.conftest import PYTHONPATH, assert_clean
from tests.wire import API_KEY, API_SECRET

COMMAND = [sys.executable, "-m", "cometify"]
URL = f"http://{API_KEY}:dj28DNam!!nx72*@localhost:8081"
TWO_ACCOUNTS = f"""
[[account]]
api_key = "{API_KEY}"
api_secret = "{API_SECRET}"
[[account]]
api_key = "other"
api_secret = "another secret"
identifiers = "extended"
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMETIFY_URL", raising=False)

    def run(*arguments, status=0, **variables):
        result = CliRunner().invoke(main, arguments, env=variables)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output.strip()

    return run


def test_init_writes_a_file_that_only_its_owner_reads(run, tmp_path):
    run("init")
    file = tmp_path / "cometify.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (account,) = tomllib.loads(file.read_text())["account"]
    assert account["signatures"] == "strong"
    assert len(account["api_secret"]) >= 32
    assert run("check") == "cometify: the configuration can be used; accounts: 1"


def test_init_makes_another_secret_each_time(run, tmp_path):
    for name in ("a.toml", "b.toml"):
        assert f"cometify serve --config {name}" in run("init", name)
    secrets = {
        tomllib.loads((tmp_path / name).read_text())["account"][0]["api_secret"] for name in ("a.toml", "b.toml")
    }
    assert len(secrets) == 2


def test_init_never_writes_over_a_file(run, tmp_path):
    (tmp_path / "cometify.toml").write_text("mine")
    assert "exists already" in run("init", status=1)
    assert (tmp_path / "cometify.toml").read_text() == "mine"
    assert "cannot be written: No such file or directory" in run("init", "nowhere/x.toml", status=1)


def test_settings_behind_a_number_sign_can_be_used(run, tmp_path):
    run("init")
    file = tmp_path / "cometify.toml"
    settings = [line.removeprefix("# ") if " = " in line else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(settings))
    assert "redis" in tomllib.loads(file.read_text())
    assert run("check", "cometify.toml").endswith("accounts: 1")


def test_check_tells_what_is_wrong(tmp_path):
    (tmp_path / "cometify.toml").write_text('colour = "red"\n[[account]]\napi_key = "a"\napi_secret = "b"\n')
    result = subprocess.run(
        [*COMMAND, "check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("cometify: cometify.toml: colour")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("how", [{"COMETIFY_URL": URL}, {"option": URL}, {"file": TWO_ACCOUNTS}])
def test_key_is_that_of_the_account(run, tmp_path, how):
    given = ["--url", how["option"]] if "option" in how else []
    if "file" in how:
        (tmp_path / "cometify.toml").write_text(how["file"])
        given = ["--api-key", API_KEY]
    variables = {name: value for name, value in how.items() if name.isupper()}
    expected = secure_key(API_KEY, API_SECRET, "Guestbook,comments")
    assert run("key", "Guestbook,comments", *given, **variables) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [("guest book", "' '"), ("a,a", "twice"), ("a:5", "leave the internal ids out"), ("", "identifiers")],
)
def test_key_refuses_what_no_server_would_join(run, names, message):
    assert message in run("key", names, status=1, COMETIFY_URL=URL)


def test_token_gives_the_right_for_its_life(run):
    began = int(time.time())
    made = run("token", "--identifiers", "Orders,user_7_*", "--for", "2h", "--sub", "user_7", COMETIFY_URL=URL)
    token = read_token(made, [API_SECRET], began)
    assert began + 7200 <= token.until <= time.time() + 7200
    assert (token.names, token.prefixes) == ({"orders"}, ("user_7_",))
    assert token.subject == "user_7"
    assert began <= token.issued <= time.time()


def test_token_of_an_account_reads_it_for_its_life(run):
    made = json.loads(run("token", "--account", "--for", "7d", "--json", COMETIFY_URL=URL))
    read_account_token(made["token"], API_KEY, [API_SECRET], made["exp"] - 1)
    assert time.time() + 7 * 86_400 - 60 < made["exp"] <= time.time() + 7 * 86_400
    with pytest.raises(Refused):
        read_account_token(made["token"], API_KEY, [API_SECRET], made["exp"])
    for wrong in (["--account", "--identifiers", "a"], ["--account", "--sub", "a"], []):
        assert "--account" in run("token", *wrong, status=2, COMETIFY_URL=URL)


def test_key_and_token_are_printed_as_json(run):
    assert json.loads(run("key", "a,b", "--json", COMETIFY_URL=URL)) == {
        "secureKey": secure_key(API_KEY, API_SECRET, "a,b")
    }
    made = json.loads(run("token", "--identifiers", "a", "--json", COMETIFY_URL=URL))
    assert read_token(made["token"], [API_SECRET], time.time()).until == made["exp"]


def test_token_without_options_lives_ten_minutes(run):
    began = int(time.time())
    token = read_token(run("token", "--identifiers", "a", COMETIFY_URL=URL), [API_SECRET], began)
    assert 600 <= token.until - began <= 610
    assert token.subject is None


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--identifiers", "a b"], 1, "'a b' is not a name"),
        (["--identifiers", "a", "--for", "10"], 2, "such as 10m"),
        (["--identifiers", "a", "--for", "0m"], 2, "such as 10m"),
        (["--identifiers", "a", "--sub", ""], 1, "--sub must have"),
        ([], 2, "--identifiers"),
    ],
)
def test_token_refuses_what_no_server_would_take(run, arguments, status, message):
    assert message in run("token", *arguments, status=status, COMETIFY_URL=URL)


def test_url_is_that_of_an_account_of_the_file(run, tmp_path):
    (tmp_path / "cometify.toml").write_text(
        f'http = ["tcp:9000"]\n[[account]]\napi_key = "blog"\napi_secret = "a/b @ü%"\n{TWO_ACCOUNTS}'
    )
    assert run("url", "--api-key", "blog", COMETIFY_URL=URL) == "http://blog:a%2Fb%20%40%C3%BC%25@localhost:9000"
    told = run("token", "--identifiers", "a", COMETIFY_URL=run("url", "--api-key", "blog"))
    assert read_token(told, ["a/b @ü%"], time.time()).names == {"a"}
    assert "Give --api-key with one of the accounts" in run("url", status=1)
    (tmp_path / "cometify.toml").write_text(f'http = ["unix:socket"]\n{TWO_ACCOUNTS}')
    assert "no http port with a number: write https://" in run("url", "--api-key", "other", status=1)
    (tmp_path / "cometify.toml").unlink()
    assert "no cometify.toml here: write https://" in run("url", status=1)


def test_account_must_be_told(run, tmp_path):
    assert "no cometify.toml here" in run("key", "a", status=1)
    assert "https://KEY:SECRET@" in run("key", "a", "--url", "https://push.example.org", status=1)
    assert "cannot be read" in run("key", "a", "--config", "none.toml", status=1)
    (tmp_path / "cometify.toml").write_text(TWO_ACCOUNTS)
    told = run("key", "a", status=1)
    assert told == f"Error: Give --api-key with one of the accounts: {API_KEY}, other"
    assert run("key", "order.5", "--api-key", "other") == secure_key("other", "another secret", "order.5")
    assert "is not an identifier" in run("key", "order.5", "--api-key", API_KEY, status=1)


def test_token_tells_the_rule_of_the_account(run, tmp_path):
    (tmp_path / "cometify.toml").write_text(TWO_ACCOUNTS)
    assert "write 1 to 60 of" in run("token", "--identifiers", "order.5", "--api-key", API_KEY, status=1)
    assert "write 1 to 100 of" in run("token", "--identifiers", "order/5", "--api-key", "other", status=1)


def test_secret_stands_in_no_error(run):
    for arguments in (["key", "a b"], ["token", "--identifiers", "-"], ["key", "a", "--config", "none.toml"]):
        assert API_SECRET not in run(*arguments, status=1, COMETIFY_URL=URL)


def test_help_lists_the_commands_and_the_options_of_serve(run):
    for name in ("serve", "init", "check", "key", "token", "push", "position"):
        assert f"\n  {name} " in run("--help")
    helped = run("serve", "--help")
    assert helped.startswith("Usage: cometify serve [options]")
    for option in ("--config", "--http", "--websocket", "--admin", "--redis", "--workers", "--check"):
        assert option in helped
    assert "Cometify " in run("--version")


def test_serve_serves_and_ends_by_sigterm(tmp_path):
    http, websocket, admin = free_ports(3)
    there = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": PYTHONPATH}}
    subprocess.run([*COMMAND, "init"], check=True, capture_output=True, **there)
    endpoints = [("--http", http), ("--websocket", websocket), ("--admin", admin)]
    options = [part for name, port in endpoints for part in (name, f"tcp:{port}:interface=127.0.0.1")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve", *options], stdout=log, stderr=log, **there)
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{admin}/health/ready", timeout=5) as ready,
            ):
                assert ready.status == 200
                break
            time.sleep(0.05)
        api_key = tomllib.loads((tmp_path / "cometify.toml").read_text())["account"][0]["api_key"]
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/{api_key}/position", timeout=5) as answer:
            assert json.load(answer)["position"] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
    assert_clean((tmp_path / "log").read_text())


def test_serve_tells_what_is_wrong_in_one_line(tmp_path):
    result = subprocess.run(
        [*COMMAND, "serve", "--redis", ""],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("cometify: --redis: ")
    assert result.stderr.count("\n") == 1


def test_help_names_every_command_in_a_whole_sentence(run):
    text = run("--help")
    for name in (
        "bench",
        "check",
        "doctor",
        "init",
        "key",
        "listen",
        "position",
        "push",
        "serve",
        "token",
        "url",
        "usage",
    ):
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith("."), "it was cut"
        assert not line.endswith("..."), "it was cut"
        assert "Usage:" in run(name, "--help")
    assert "No such command" in run("nonsense", status=2)


def test_key_and_push_import_no_event_loop():
    program = (
        "import sys; from cometify.command.main import main; main(['key', 'a'], standalone_mode=False); "
        "import cometify.command.push; "
        "print([name for name in ('autobahn', 'rich', 'twisted.internet', 'twisted.logger') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": PYTHONPATH, "COMETIFY_URL": URL},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.splitlines()[-1] == "[]"
