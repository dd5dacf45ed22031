"""`cometify bench` against a real server."""

import json
import os
import re
import signal

import pytest

from bench.rig.ports import free_ports
from cometify.command.bench.latencies import Latencies
from tests.command.programs import Program
from tests.wire import API_KEY, API_SECRET, eventually


def url(port, secret=API_SECRET):
    return f"http://{API_KEY}:{secret}@127.0.0.1:{port}"


def measured(server, *options, status=0):
    """Run the command for a second. Returns its report."""
    with Program("bench", url(server.port), "--json", "--seconds", "1", *options) as program:
        assert program.end() == status
        return json.loads(program.line())


def test_every_listener_hears_every_push_at_the_rate(server):
    report = measured(server, "--rate", "50", "--listeners", "3")
    assert 1 <= report["sent"] <= 51
    assert report["accepted"] == report["sent"]
    assert report["listeners"] == 3
    assert report["deliveries"] == 3 * report["sent"]
    assert (report["missing"], report["repeated"], report["listeners_lost"]) == (0, 0, 0)
    assert report["refused"] == {}
    for name, count in (("delivery", report["deliveries"]), ("answer", report["sent"])):
        times = report[name]
        assert 0 < times["p50"] <= times["p99"] <= times["max"] < 60
        assert sum(row["count"] for row in times["histogram"]) == count
    assert report["pushes_per_second"] <= 51


def test_server_of_the_configuration_file_is_loaded(server):
    with Program("bench", "--json", "--seconds", "0.5", "--listeners", "1", cwd=server.folder) as program:
        assert program.end() == 0
        report = json.loads(program.line())
    assert report["accepted"] == report["sent"] > 0


def test_pushes_that_a_quota_refuses_are_counted(make_server):
    server = make_server(account={"pushes_per_second": 1, "push_burst": 3})
    report = measured(server, "--rate", "50", "--listeners", "1")
    assert report["refused"]["too_many_pushes"] > 0
    assert report["refused"]["too_many_pushes"] + report["accepted"] == report["sent"]
    assert report["deliveries"] == report["accepted"] > 0


def test_pushes_that_cannot_be_sent_in_time_are_counted(server):
    report = measured(server, "--rate", "20000", "--listeners", "0")
    assert report["not_sent"] > 0
    assert report["sent"] + report["not_sent"] <= 20_001
    assert report["accepted"] == report["sent"]


def test_listeners_that_a_quota_refuses_are_counted(make_server):
    server = make_server(account={"listeners_per_ip": 2})
    report = measured(server, "--rate", "5", "--listeners", "3")
    assert report["listeners"] == 2
    assert report["listeners_refused"] == {"too_many_listeners": 1}


def test_rate_without_listeners_is_that_of_the_answers(server):
    report = measured(server, "--rate", "5", "--listeners", "0")
    assert report["delivery"] is None
    assert report["answer"]["p50"] > 0


def test_report_has_quantiles_and_a_histogram(server):
    with Program("bench", "--url", url(server.port), "--seconds", "0.5", "--rate", "20") as program:
        assert program.end() == 0
        lines = list(program.rest())
    assert any(line.startswith("delivery    p50 ") and ", p99 " in line for line in lines)
    bars = [line for line in lines if "≤" in line]
    assert bars
    assert any("█" * 40 in line for line in bars)
    assert program.errors.empty(), "a pipe gets no progress bar"


def test_terminal_gets_a_progress_bar_and_colours(server):
    ours, theirs = os.openpty()
    options = ("--seconds", "0.5", "--rate", "20")
    with Program("bench", url(server.port), *options, stdout=theirs, stderr=theirs, TERM="xterm") as program:
        assert program.end() == 0
    printed = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "Pushing" in printed
    assert "\x1b[36m" in printed


def test_server_that_dies_meanwhile_fails_the_bench(make_server):
    server = make_server()
    with Program("bench", url(server.port), "--json", "--seconds", "10", "--rate", "20") as program:
        eventually(lambda: accepted(server) > 3, 60)
        server.stop(signal.SIGKILL)
        assert program.end() == 1
        report = json.loads(program.line())
    assert report["listeners_lost"] == 10
    assert report["refused"]["unreachable"] > 0


def accepted(server):
    metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    return float(re.search(r"^cometify_pushes_accepted_total (.*)$", metrics, re.MULTILINE)[1])


def test_wrong_secret_has_a_status_of_its_own(server):
    with Program("bench", url(server.port, "wrong")) as program:
        assert "cometify doctor" in program.error("not_authorized")
        assert program.end() == 3


def test_port_where_nobody_listens_has_a_status_of_its_own():
    with Program("bench", url(free_ports(1)[0])) as program:
        assert program.error("refused")
        assert program.end() == 4


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["http://key:secret@192.0.2.1"], 2, "Add --yes"),
        (["http://key@127.0.0.1"], 1, "API secret"),
        ([], 1, "There is no cometify.toml here"),
        (["http://key:secret@127.0.0.1", "--config", "x.toml"], 2, "either a URL or --config"),
    ],
)
def test_wrong_arguments_load_no_server(arguments, status, message, tmp_path):
    with Program("bench", *arguments, cwd=tmp_path) as program:
        assert program.error(message)
        assert program.end() == status


def test_person_at_a_terminal_is_asked_before_a_stranger_is_loaded():
    ours, theirs = os.openpty()
    os.write(ours, b"n\n")
    with Program("bench", "http://key:secret@192.0.2.1", "--rate", "7", stdin=theirs) as program:
        assert program.end() == 1
        question = program.error("not this machine")
    os.close(ours)
    os.close(theirs)
    assert "7 pushes a second" in question


def test_quantiles_are_right_within_two_percent():
    latencies = Latencies()
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    for share in (0.01, 0.5, 0.99, 1):
        assert latencies.quantile(share) == pytest.approx(share, rel=0.021)
    assert latencies.most == 1
    assert latencies.count == 1000


def test_histogram_has_every_row_between_the_first_and_the_last():
    latencies = Latencies()
    for seconds in (0.0015, 0.0016, 0.03, 0):
        latencies.add(seconds)
    rows = dict(latencies.rows())
    assert list(rows)[:4] == [2e-6, 5e-6, 1e-5, 2e-5]
    assert rows[0.002] == 2
    assert rows[0.05] == 1
    assert sum(rows.values()) == 4
    assert rows[0.01] == 0


def test_nothing_measured_has_no_quantile_and_no_row():
    assert Latencies().quantile(0.5) == 0
    assert list(Latencies().rows()) == []
