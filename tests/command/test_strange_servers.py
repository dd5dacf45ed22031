"""The commands against a server that means ill: endless answers, escape codes of terminals, frames of another shape."""

import base64
import hashlib
import json
import re
import resource

import pytest
from click.testing import CliRunner

from cometify.client import connections
from cometify.command.frames import read_frame
from cometify.command.main import main
from tests.client.conftest import scripted  # noqa: F401 - a fixture
from tests.client.scripted import answering, problem
from tests.command.programs import Program

EVIL = "\x1b]0;title\x07\n\x9b31m\u202e"
SEEN = r"\x1b]0;title\x07\n\x9b31m\u202e"
"""The same as a terminal shows it."""
READY = {"type": "ready", "heartbeat": 25, "secret": [], "warnings": [], "positions": [1]}
PUSH = {"type": "push", "identifier": "chat", "push_id": None, "text": "x", "position": 5}


def run(*arguments, status):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result.output


def endless(served):
    """Answer 200, and send a body without an end."""
    served.request()
    served.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        served.send(b"[" * 1_000_000)


@pytest.mark.parametrize("command", [["push", "chat", "text"], ["position"], ["usage"]], ids=lambda words: words[0])
def test_sentence_of_a_server_reaches_no_terminal_raw(scripted, command):  # noqa: F811 - the fixture
    server = scripted(answering(403, problem("account_suspended", f"Do {EVIL} this.")))
    assert f"Error: Do {SEEN} this.\n" in run(*command, "--url", server.url, status=3)


def test_refusal_without_a_sentence_is_told_by_its_code(scripted):  # noqa: F811 - the fixture
    server = scripted(answering(403, {"code": "account_suspended"}))
    assert "Error: The answer is 403: account_suspended.\n" in run("position", "--url", server.url, status=3)


def test_account_of_a_server_reaches_no_terminal_raw(scripted):  # noqa: F811 - the fixture
    told = {"api_key": EVIL, "source": EVIL, "suspended": False, "secrets": EVIL, "settings": {EVIL: EVIL}}
    told["effective"] = told["settings"]
    server = scripted(
        answering(200, {"accounts": [told], "next": None}),
        answering(200, told),
        answering(403, problem("refused", EVIL)),
    )
    outputs = [
        CliRunner().invoke(main, ["account", *words, "--admin", f"http://127.0.0.1:{server.port}"]).output
        for words in (["list"], ["show", "shop"], ["list"])
    ]
    assert SEEN in outputs[2]
    for output in outputs:
        assert r"\x1b]0;" in output
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", output), output


def test_endless_answer_of_an_admin_endpoint_is_cut_off(scripted, monkeypatch):  # noqa: F811 - the fixture
    monkeypatch.setattr(connections, "MAX_ANSWER", 1_000_000)
    server = scripted(endless)
    output = run("account", "list", "--admin", f"http://127.0.0.1:{server.port}", status=4)
    assert "gives no whole answer: it has more than 1000000 bytes" in output


def test_deep_answer_of_an_admin_endpoint_is_none_of_cometify(scripted):  # noqa: F811 - the fixture
    server = scripted(answering(200, b"[" * 200_000))
    output = run("account", "list", "--admin", f"http://127.0.0.1:{server.port}", status=3)
    assert "is not an admin endpoint of Cometify: it answers 200" in output


def test_endless_answer_ends_a_command_with_little_memory(scripted):  # noqa: F811 - the fixture
    server = scripted(endless)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    with Program("bench", server.url, "--seconds", "1") as program:
        resource.prlimit(program.process.pid, resource.RLIMIT_DATA, (1 << 29, limits[1]))
        assert "The answer has more than 16777216 bytes." in program.error("Error: ")
        assert program.end() == 1


def frames_of(*frames):
    """Take a WebSocket and send these frames."""

    def script(served):
        key = served.request().headers["sec-websocket-key"]
        digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False).digest()
        accept = base64.b64encode(digest).decode()
        served.send(
            "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        for frame in frames:
            data = json.dumps(frame).encode()
            served.send(bytes([0x81, len(data)]) + data)
        served.exactly(1 << 20)

    return script


def test_listener_that_gets_a_strange_frame_comes_back(scripted):  # noqa: F811 - the fixture
    strange = {"type": "push", "identifier": "chat", "text": 5, "position": "x"}
    server = scripted(frames_of(READY, PUSH, strange), frames_of(READY, {**PUSH, "text": "y", "position": 6}))
    with Program("listen", "chat", "--count", "2", "--url", server.url) as program:
        assert program.error("A message came that is none of Cometify's. Trying again.")
        assert [program.line()[-1], program.line()[-1]] == ["x", "y"]
        assert program.end() == 0
        assert "Traceback" not in "".join(program.errors.queue)


@pytest.mark.parametrize(
    "frame",
    [
        READY,
        PUSH,
        {**PUSH, "event": "created"},
        {"type": "push", "identifier": "chat", "push_id": 1, "data": None, "position": 5},
        {"type": "heartbeat", "position": 2**53 - 1},
        {"type": "gap", "identifiers": ["chat"]},
        {"type": "error", "code": "draining", "detail": "", "retry": None},
        {"type": "error", "code": "draining", "detail": "", "retry": 5},
        {"type": "reconnect", "after": 3_600_000},
        {"type": "of a later version"},
    ],
)
def test_frame_of_a_server_is_read(frame):
    assert read_frame(json.dumps(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        [],
        {},
        {"type": 5},
        {**READY, "positions": []},
        {**READY, "positions": ["5"]},
        {**READY, "heartbeat": None},
        {**READY, "heartbeat": 1e300},
        {**READY, "warnings": [5]},
        {**PUSH, "position": True},
        {**PUSH, "position": 2**53},
        {**PUSH, "position": -1},
        {**PUSH, "text": None},
        {**PUSH, "event": 5},
        {"type": "push", "identifier": "chat", "position": 5},
        {"type": "heartbeat"},
        {"type": "gap", "identifiers": "chat"},
        {"type": "error", "code": "draining"},
        {"type": "error", "code": "draining", "detail": "", "retry": "soon"},
        {"type": "reconnect", "after": 1e300},
    ],
)
def test_frame_of_another_shape_is_none(frame):
    assert read_frame(json.dumps(frame)) is None


def test_text_that_is_no_json_is_no_frame():
    assert [read_frame(text) for text in ("", b"\xff", "[" * 100_000, "1" * 5_000)] == [None] * 4
