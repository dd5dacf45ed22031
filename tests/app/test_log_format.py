"""The log as JSON, its priorities for journald, and the limit of file descriptors that it tells."""

import io
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest
from twisted.logger import Logger, eventFromJSON, jsonFileLogObserver

from cometify.app.log_format import as_json, formatted
from tests.conftest import TWISTD, Server


class Limited(Server):
    """A server whose soft limit of file descriptors is 300 and whose hard limit is 600."""

    twistd: ClassVar = ["prlimit", "--nofile=300:600", *TWISTD]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a server until it is ready, and return the lines of its log."""

    def run(*, journal: bool, **options) -> list[str]:
        server = Limited(tmp_path, options, {})
        server.log.touch()
        if journal:
            status = server.log.stat()
            monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        server.start().stop()
        return server.log.read_text().splitlines()

    return run


def test_each_line_of_the_log_is_one_json_object(run):
    lines = [json.loads(line) for line in run(journal=False, log_format="json")]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert {"time", "level", "logger", "message"} <= line.keys()
    raised = next(line for line in lines if "file descriptors is raised" in line["message"])
    assert (raised["level"], raised["logger"]) == ("info", "cometify.runtime.descriptors")
    assert (raised["soft"], raised["hard"]) == (300, "600")
    small = next(line for line in lines if "LimitNOFILE" in line["message"])
    assert (small["level"], small["hard"]) == ("warn", 600)
    assert any("Cometify is up" in line["message"] for line in lines)


def test_journal_gets_a_priority_before_each_line(run):
    lines = run(journal=True)
    assert all(re.match(r"<[2-7]>", line) for line in lines), lines
    (warning,) = [line for line in lines if "LimitNOFILE" in line]
    assert warning.startswith("<4>")
    assert any(line.startswith("<6>") and "Cometify is up" in line for line in lines)


def test_journal_gets_json_with_priorities(run):
    lines = run(journal=True, log_format="json")
    assert all(json.loads(re.sub(r"^<[2-7]>", "", line, count=1)) for line in lines)
    assert all(line.startswith("<") for line in lines)


def test_log_of_another_stream_has_no_priorities(run, monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not any(line.startswith("<") for line in run(journal=False))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("late {seconds:.1f} s at {where}", "late 1.0 s at a{b}"),
        ("late {seconds} s at {where}", "late 1.0374162 s at a{b}"),
        ("nothing", "nothing"),
        (None, ""),
    ],
)
def test_line_of_a_worker_is_read_as_it_was_formatted(text, message):
    written = io.StringIO()
    Logger("test", observer=formatted(jsonFileLogObserver(written, ""))).warn(text, seconds=1.0374162, where="a{b}")
    line = json.loads(as_json(eventFromJSON(written.getvalue())))
    assert line["message"] == message
    assert (line["seconds"], line["where"], line["logger"]) == (1.0374162, "a{b}", "test")
