"""scripts/push.sh: what it pushes arrives, and its exit status says if it may have been pushed."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from bench.rig.ports import free_port
from tests.samples import vectors
from tests.sdk.conftest import url_of
from tests.sdk.scripted import HALF, NO_HTTP, answer, drip, hang_up, refuse, scripted, silent
from tests.sdk.test_failures import signed
from tests.sdk.test_pushing import kept
from tests.wire import API_KEY, API_SECRET

SCRIPT = Path(__file__).parents[2] / "scripts/push.sh"
PUBLISHERS = vectors("publishers")
TOP = "9223372036854775807"
PUSHED, REFUSED, WRONG, IN_DOUBT = 0, 1, 2, 3

# A command that notes its arguments, and the file that curl is configured by, and then does what it is for.
NOTING = """#!/bin/sh
for argument in "$@"; do printf '%s\\n' "$argument" >>"{noted}"; done
while [ $# -gt 0 ] && [ "{instead}" ]; do
    [ "$1" = --config ] && cat "$2" >>"{noted}"
    shift
done
[ "{instead}" ] && exit 7
exec {real} "$@"
"""


@pytest.fixture
def push():
    """push(url, *arguments, content=…): run the script. It may show no secret."""

    def push(url, *arguments, content="", status=PUSHED, path=None):
        if isinstance(url, int):
            url = url_of(url)
        done = subprocess.run(
            ["sh", str(SCRIPT), *arguments],
            input=content if isinstance(content, bytes) else content.encode(),
            capture_output=True,
            check=False,
            timeout=120,
            env={**os.environ, "COMETIFY_URL": url, "PATH": path or os.environ["PATH"]},
        )
        done.told = (done.stdout + done.stderr).decode()
        assert API_SECRET not in done.told
        assert done.returncode == status, done.told
        return done

    return push


@pytest.fixture
def noting(tmp_path):
    """noting(instead=…): a PATH on which openssl and curl note their arguments in `noted`. `instead`: curl sends nothing."""
    noted = tmp_path / "noted"

    def noting(*, instead=False):
        for name in ("openssl", "curl"):
            command = tmp_path / name
            is_replaced = "yes" if instead and name == "curl" else ""
            command.write_text(NOTING.format(noted=noted, real=shutil.which(name), instead=is_replaced))
            command.chmod(0o755)
        return f"{tmp_path}:{os.environ['PATH']}", noted

    return noting


def test_text_arrives_byte_for_byte(server, push):
    text = "Grüße & = + % \"w\" \\ '$(id)' \t\n\u2028😀\n\n"
    push(server.port, "--push-id", TOP, "--event", "created", "sh_text", content=text)
    push(server.port, "sh_text", "-n an argument")
    first, second = kept(server, "sh_text")
    assert (first["text"], first["push_id"], first["event"]) == (text, TOP, "created")
    assert second["text"] == "-n an argument"


def test_data_arrives_as_json(server, push):
    push(server.port, "--data", "--push-id", "7", "sh_data", '{"a": ["ü", 1.0, null]}')
    push(server.port, "--data", "sh_data", content="[1,\n2]\n")
    first, second = kept(server, "sh_data")
    assert (first["data"], first["push_id"], second["data"]) == ({"a": ["ü", 1.0, None]}, 7, [1, 2])


def test_secret_push_and_excluded_listener(server, push):
    push(server.port, "--secret", "sh_secret", "hush")
    push(server.port, "--except", "9f2c51d07ab34e18", "sh_secret", "to the others")
    assert [push["text"] for push in kept(server, "sh_secret")] == ["to the others"]
    assert kept(server, "sh_secret", listener="9f2c51d07ab34e18") == []


def test_one_key_pushes_once(server, push):
    first = push(server.port, "--key", "order 1704 of sh", "sh_once", "a").stdout
    assert first.count(b"\n") == 1
    again = push(server.port, "--key", "order 1704 of sh", "sh_once", "a").stdout
    assert b'"duplicate":true' in again
    assert len(kept(server, "sh_once")) == 1


@pytest.mark.parametrize("arguments", [(), ("--bearer",)])
def test_account_that_demands_strong_signatures_is_served(make_server, push, arguments):
    server = make_server(account={"signatures": "strong"})
    push(server.port, *arguments, "chat", "Hello")


def test_refusal_is_shown(server, push):
    assert "invalid_identifier" in push(server.port, "7up", "a", status=REFUSED).told
    told = push(url_of(server.port, "another-secret"), "chat", "the text of it", status=REFUSED).told
    assert "not_authorized" in told
    assert "another-secret" not in told
    assert "the text of it" not in told


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a", "b", "c"),
        ("--secrets", "chat", "a"),
        ("--key",),
        ("--timeout", "0", "chat", "a"),
        ("--timeout", "1.5", "chat", "a"),
        ("--key", "a\nb", "chat", "a"),
        ("--key", "x" * 129, "chat", "a"),
        ("--event", 'a"b', "chat", "a"),
        ("--push-id", "7&secret=0", "chat", "a"),
        ("..", "a"),
        ("a/b", "a"),
        ("", "a"),
    ],
    ids=repr,
)
def test_wrong_call_sends_nothing(push, arguments):
    with scripted(answer()) as server:
        assert push(server.port, *arguments, status=WRONG).stderr
    assert server.requests == []


# URLs and signatures.


@pytest.mark.parametrize("row", PUBLISHERS["wrong_urls"], ids=lambda row: row["about"])
def test_wrong_url_is_refused_without_its_secret(push, row):
    told = push(row["url"], "chat", "a", status=WRONG).told
    assert "KEY:SECRET@push" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("row", PUBLISHERS["urls"], ids=lambda row: row["about"])
def test_url_is_read_as_its_vector_says(push, noting, row):
    path, noted = noting(instead=True)
    push(row["url"], "--timeout", "1", "chat", "a", status=REFUSED, path=path)
    assert f"{row['server']}/{row['api_key']}/push/chat" in noted.read_text().splitlines()
    noted.unlink()
    can_be_sent = row["bearer"] and row["api_secret"].isascii()
    status = REFUSED if can_be_sent else WRONG
    told = push(row["url"], "--bearer", "--timeout", "1", "chat", "a", status=status, path=path).told
    assert row["api_secret"] not in told
    if can_be_sent:
        assert f'header = "Authorization: Bearer {row["api_secret"]}"' in noted.read_text()
    else:
        assert not noted.exists() or row["api_secret"] not in noted.read_text()


@pytest.mark.parametrize("secret", [API_SECRET, "é@/?# %41\\\"'$x", "x" * 64, "x" * 65, "ü" * 100], ids=repr)
def test_every_secret_signs(push, monkeypatch, secret):
    monkeypatch.setattr("tests.sdk.test_failures.API_SECRET", secret)
    with scripted(answer()) as server:
        push(url_of(server.port, secret), "--key", "k 1", "chat", "ü")
    (request,) = server.requests
    assert request.target == f"/{API_KEY}/push/chat"
    assert request.headers["cometify-signature"] == signed(request)
    assert parse_qs(request.body.decode()) == {"secret": ["0"], "text": ["ü"]}


@pytest.mark.parametrize("arguments", [(), ("--bearer",)])
def test_secret_is_an_argument_of_no_process(server, push, noting, arguments):
    path, noted = noting()
    push(server.port, *arguments, "chat", "a", path=path)
    arguments_of_all = noted.read_text()
    assert API_SECRET not in arguments_of_all
    assert "Idempotency-Key" in arguments_of_all


# A server that fails.


@pytest.mark.parametrize(
    "act",
    [hang_up, HALF, NO_HTTP, answer(200, b"<html>"), answer(502, b""), refuse(503, "draining", Retry_After="0")],
    ids=["hung up", "half", "no HTTP", "another page", "a proxy", "draining"],
)
def test_lost_answer_is_asked_for_again_with_one_key(push, act):
    with scripted(act, answer()) as server:
        push(server.port, "--timeout", "60", "chat", "a")
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["cometify-nonce"] != second.headers["cometify-nonce"]
    assert second.headers["cometify-signature"] == signed(second)


ENDS = {
    "lost, then it drains": ([hang_up, refuse(503, "draining", Retry_After="600")], IN_DOUBT),
    "lost, then refused": ([hang_up, refuse(403, "not_authorized")], REFUSED),
    "lost, then a page of a proxy": ([hang_up, answer(404, b"<html>")], IN_DOUBT),
    "lost, then a proxy's own limit": ([hang_up, answer(429, b"<html>")], IN_DOUBT),
    "a page of a proxy": ([answer(404, b"<html>")], REFUSED),
    "a fault": ([answer(500, b"")], IN_DOUBT),
    "it drains": ([refuse(503, "draining", Retry_After="600")], REFUSED),
    "no engine": ([refuse(503, "engine_unavailable", Retry_After="600")], IN_DOUBT),
    "too many, and later": ([refuse(429, "too_many_pushes", Retry_After="600")], REFUSED),
    "too many": ([refuse(429, "too_many_pushes")], REFUSED),
    "elsewhere": ([answer(301, b"", Location="http://127.0.0.1:1/")], REFUSED),
}


@pytest.mark.parametrize("about", list(ENDS))
def test_exit_status_says_if_it_may_have_been_pushed(push, about):
    script, status = ENDS[about]
    seconds = "2" if about == "a fault" else "60"
    with scripted(*script) as server:
        told = push(server.port, "--timeout", seconds, "chat", "a", status=status).told
    assert (f"--key '{server.requests[0].headers['idempotency-key']}'" in told) == (status == IN_DOUBT)


@pytest.mark.parametrize(
    "act",
    [silent, drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 9999, 0.05)],
    ids=["silent", "byte by byte"],
)
def test_deadline_holds_against_a_server_that_never_ends(push, act):
    with scripted(act) as server:
        begun = time.monotonic()
        push(server.port, "--timeout", "1", "chat", "a", status=IN_DOUBT)
        assert time.monotonic() - begun < 60  # the answer would take eight minutes
    assert server.requests


def test_port_that_takes_no_connection_is_told(push):
    told = push(free_port(), "--timeout", "1", "chat", "a", status=REFUSED).told
    assert "no answer from http://127.0.0.1" in told
