"""`cometify listen`, as somebody at a terminal or a script runs it."""

import fcntl
import json
import os
import re
import signal
import struct
import termios
import time

import pytest

from tests.command.programs import Program
from tests.wire import API_KEY, API_SECRET, eventually, jwt


def url(server, secret=""):
    account = f"{API_KEY}:{secret}" if secret else API_KEY
    return f"http://{account}@127.0.0.1:{server.port}"


def listening(server, *arguments, secret="", **more):
    """Start the command, and wait until it has joined."""
    program = Program("listen", *arguments, "--url", url(server, secret), **more)
    program.error("Listening")
    return program


def position_in(file):
    return json.loads(file.read_text())["position"] if file.exists() else 0


def test_push_is_one_line_with_time_channel_and_text(server):
    with listening(server, "lines", "Others") as program:
        position = server.pushed("lines", "Hello world")
        server.pushed("others", "second")
        time_of_day = time.strftime("%H:%M:%S", time.localtime(position // 1_000_000))
        assert re.fullmatch(rf"{time_of_day}\.\d{{3}}  lines  Hello world", program.line())
        assert program.line().endswith("  others  second")


def test_control_characters_of_a_text_reach_no_terminal(server):
    with listening(server, "controls") as program:
        server.pushed("controls", "\x1b]0;title\x07\nnext \x9b31m \u202eevil \u2028 end ümlaut 👩‍🚀")
        line = program.line()
        assert line.endswith("  controls  \\x1b]0;title\\x07\\nnext \\x9b31m \\u202eevil \\u2028 end ümlaut 👩‍🚀")


def test_event_and_data_are_printed_as_json(server):
    with listening(server, "shapes") as program:
        body = json.dumps({"data": {"a": [1, "é"]}, "event": "created", "secret": 0}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_SECRET}"}
        assert server.request("POST", f"/{API_KEY}/push/shapes", body, headers).status == 200
        assert program.line().endswith('  shapes  created  {"a": [1, "é"]}')


def test_json_prints_frames_as_they_came_and_ends_by_count(server):
    with listening(server, "frames", "--json", "--count", "2") as program:
        positions = [server.pushed("frames", text, push_id=7) for text in ("one\x7f", "two", "three")]
        assert program.end() == 0
        assert [json.loads(line) for line in program.rest()] == [
            {"type": "push", "identifier": "frames", "push_id": 7, "text": text, "position": position}
            for text, position in zip(("one\x7f", "two"), positions, strict=False)
        ]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ([], "\x1b[36mterminal\x1b[0m  \\x1b]0;title\\x07 \\x9b31m" + "x" * 300),
        (["--json"], '"text":"\\u001b]0;title\\u0007 \\u009b31m' + "x" * 300),
    ],
)
def test_terminal_gets_colours_and_nothing_raw(server, option, expected):
    ours, theirs = os.openpty()
    with listening(server, "terminal", *option, "--count", "1", stdout=theirs, TERM="xterm") as program:
        server.pushed("terminal", "\x1b]0;title\x07 \x9b31m" + "x" * 300)
        assert program.end() == 0
    printed = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert expected in printed
    assert printed.count("\n") == 1, "a long line is not cut in pieces"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_listener_in_order(server, how, tmp_path):
    with listening(server, "ends", "--state", "state", cwd=tmp_path) as program:
        position = server.pushed("ends", "last")
        program.line()
        assert program.end(how) == 0
        assert program.errors.empty()
        assert position_in(tmp_path / "state") >= position


def test_closed_pipe_ends_the_listener_in_order(server):
    with listening(server, "pipes", reads=False) as program:
        program.process.stdout.close()
        server.pushed("pipes", "nobody reads it")
        assert program.end() == 0
        assert program.errors.empty()


def test_signal_ends_a_listener_whose_reader_sleeps(server, tmp_path):
    with listening(server, "sleeps", "--state", "state", reads=False, cwd=tmp_path) as program:
        before = server.pushed("sleeps", "x")
        positions = [server.pushed("sleeps", "x" * 60_000) for _ in range(4)]
        eventually(lambda: waiting_bytes(program.process.stdout) > 56_000)  # a pipe takes 64 KiB
        assert program.end(signal.SIGTERM) == 0
        assert before <= position_in(tmp_path / "state") < positions[-1], "what was not printed is asked for again"


def waiting_bytes(pipe):
    (size,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))
    return size


def test_secret_in_the_url_opens_secret_pushes(server):
    token = jwt({"exp": int(time.time()) + 60, "identifiers": ["hid*"]})
    with (
        listening(server, "Hidden", "other") as stranger,
        listening(server, "Hidden", "other", secret=API_SECRET) as owner,
        listening(server, "Hidden", "--token", token) as visitor,
    ):
        server.pushed("hidden", "secret", secret=1)
        server.pushed("hidden", "public")
        assert stranger.line().endswith("public")
        for program in (owner, visitor):
            assert program.line().endswith("secret")
            assert program.line().endswith("public")


def test_expired_token_ends_with_the_status_of_a_refusal(server):
    token = jwt({"exp": 1, "identifiers": ["doubtful"]})
    with Program("listen", "doubtful", "--url", url(server), "--token", token) as program:
        assert "invalid_token" in program.error("token")
        assert program.end() == 3


def test_unknown_key_ends_with_a_status_of_its_own(server):
    with Program("listen", "a", "--url", f"http://nobody@127.0.0.1:{server.port}") as program:
        assert "not_authorized" in program.error("API key")
        assert program.end() == 3


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["a b", "--url", "http://k@localhost"], 1, "' '"),
        (["a", "b:5", "--url", "http://k@localhost"], 1, "all of them"),
        (["a", "--url", "http://localhost"], 1, "https://KEY:SECRET@"),
        (["a", "--url", "ftp://k@localhost"], 1, "https://"),
        (["a", "--url", "http://k@localhost:port"], 1, "https://KEY:SECRET@"),
        (["a", "--url", "http://k@"], 1, "host"),
        (["a"], 1, "cometify init"),
        (["--url", "http://k@localhost"], 2, "CHANNELS"),
        (["a", "--url", "http://k@localhost", "--since", "yesterday"], 2, "such as 10m"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(arguments, status, message, tmp_path):
    with Program("listen", *arguments, cwd=tmp_path) as program:
        assert message in program.error(message)
        assert program.end() == status


def test_account_and_server_come_from_the_configuration_file(server):
    with Program("listen", "ours", "--count", "1", cwd=server.folder) as program:
        program.error("Listening")
        server.pushed("ours", "only for us", secret=1)
        assert program.line().endswith("  ours  only for us")
        assert program.end() == 0


def test_replay_begins_at_since_or_an_internal_id(server):
    first = server.pushed("early", "one", push_id=1)
    server.pushed("early", "two", push_id=2)
    for arguments, expected in (
        (["early", "--since", str(first)], ["two"]),
        (["early:1"], ["two"]),
        (["early", "--since", "5m"], ["one", "two"]),
    ):
        with listening(server, *arguments, "--count", str(len(expected)), "--json") as program:
            assert program.end() == 0
            frames = [json.loads(line) for line in program.rest()]
            # The server has just started, so an earlier push may have been lost.
            assert [frame["text"] for frame in frames if frame["type"] == "push"] == expected


def test_state_file_resumes_without_loss_and_without_repeat(server, tmp_path):
    state = tmp_path / "state"
    with listening(server, "resumed", "--state", str(state)) as program:
        first = server.pushed("resumed", "first")
        program.line()
        eventually(lambda: position_in(state) >= first)
        assert program.end(signal.SIGTERM) == 0
    server.pushed("resumed", "while it was away")
    with listening(server, "resumed", "--state", str(state), "--since", "5m", "--count", "1") as program:
        assert program.end() == 0
        assert program.line().endswith("while it was away")
    assert [file.name for file in tmp_path.iterdir()] == ["state"]


def test_state_file_is_replaced_and_never_half_written(server, tmp_path):
    state, link = tmp_path / "state", tmp_path / "link"
    with listening(server, "replaced", "--state", str(state)) as program:
        eventually(state.exists)
        os.link(state, link)
        before = link.read_text()
        position = server.pushed("replaced", "x")
        eventually(lambda: position_in(state) >= position)
        assert link.read_text() == before
        assert program.end(signal.SIGTERM) == 0


def test_killed_listener_loses_nothing(server, tmp_path):
    arguments = ("killed", "--state", str(tmp_path / "state"), "--json")
    with listening(server, *arguments) as program:
        eventually((tmp_path / "state").exists)
        pushed = [f"push {number}" for number in range(100)]
        for text in pushed[:60]:
            server.pushed("killed", text)
        program.end(signal.SIGKILL)
        printed = [json.loads(line)["text"] for line in program.rest()]
    for text in pushed[60:]:
        server.pushed("killed", text)
    with listening(server, *arguments) as program:
        while not printed or printed[-1] != pushed[-1]:
            printed.append(json.loads(program.line())["text"])
    assert sorted(set(printed), key=pushed.index) == pushed


@pytest.mark.parametrize(
    "content", ['{"position": 5}', "not JSON", '{"server":"x","api_key":"k","channels":"a","position":1}', "[]"]
)
def test_foreign_state_file_is_refused_and_kept(tmp_path, content):
    state = tmp_path / "state"
    state.write_text(content)
    with Program("listen", "b", "--url", "http://k@localhost", "--state", str(state)) as program:
        assert "name another file" in program.error("state")
        assert program.end() == 1
    assert state.read_text() == content


@pytest.mark.parametrize("path", ["", "/one"])
def test_state_file_of_a_server_below_another_path_is_refused(tmp_path, path):
    state = tmp_path / "state"
    content = f'{{"server":"http://localhost{path}","api_key":"k","channels":"a","position":1}}'
    state.write_text(content)
    with Program("listen", "a", "--url", "http://k@localhost/two", "--state", str(state)) as program:
        assert f"It belongs to a of k at http://localhost{path}: " in program.error("state")
        assert program.end() == 1
    assert state.read_text() == content


def test_state_file_that_cannot_be_written_is_told(server, tmp_path):
    with Program("listen", "b", "--url", url(server), "--state", str(tmp_path / "none" / "state")) as program:
        assert "No such file" in program.error("cannot be written")
        assert program.end() == 1


def test_listener_comes_back_to_a_restarted_server(make_server):
    server = make_server(drain=1)
    with listening(server, "restarted") as program:
        server.pushed("restarted", "before")
        assert program.line().endswith("before")
        server.stop()
        program.error("Trying again")
        server.start()
        program.error("Listening")
        server.pushed("restarted", "behind")
        assert program.line() == "Gap: pushes to restarted may be missing here."
        assert program.line().endswith("behind")


def test_listener_hears_pushes_made_while_its_server_was_away(make_server, redis):
    here, there = [make_server(redis=redis.url, drain=1) for _ in range(2)]
    with listening(here, "nodes") as program:
        here.stop()
        program.error("Trying again")
        there.pushed("nodes", "meanwhile")
        here.start()
        assert program.line().endswith("meanwhile")
