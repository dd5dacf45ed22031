"""`cometify canary` against real servers, which die, come back, and stand behind proxies with faults."""

import json
import re
import signal
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families as read_text

from bench.rig.ports import free_ports
from cometify.command.canary.command import canary
from cometify.command.sources import SOURCES
from tests.command.programs import Program
from tests.command.proxies import PASSES, Nginx
from tests.wire import API_KEY, API_SECRET, eventually

TRANSPORTS = tuple(SOURCES)
WATCHING = Path(__file__).parents[2] / "docs/watching.md"
QUICK = ("--every", "0.2", "--json")


def url(port, secret=API_SECRET):
    return f"http://{API_KEY}:{secret}@127.0.0.1:{port}"


def last(program):
    """The last line, which has all that happened if no line came before it."""
    return json.loads(list(program.rest())[-1])


def figures(port):
    """The samples of the metrics by name, or by name and label."""
    families = []

    def read():
        with suppress(URLError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            families.extend(read_text(answer.read().decode()))
        return families

    eventually(read, 60)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def invoked(*arguments):
    """Run the command in this process, to see it refuse its arguments. Returns its status and its words."""
    done = CliRunner().invoke(canary, arguments)
    return done.exit_code, done.output


def test_every_transport_hears_every_push(server):
    with Program("canary", url(server.port), *QUICK, "--seconds", "2") as program:
        assert program.end() == 0
        assert program.errors.empty()
        report = last(program)
    pushes = report.pop("pushes")
    assert pushes["failed"] == 0
    assert 3 < pushes["accepted"] <= 11
    assert report.pop("time").endswith("Z")
    assert sorted(report) == sorted(TRANSPORTS)
    for row in report.values():
        assert 1 < row["heard"] <= pushes["accepted"]
        assert 0 < row["p50"] <= row["max"] < 60
        assert (row["lost"], row["late"], row["repeated"], row["interruptions"]) == (0, 0, 0, 0)


def test_signal_ends_a_canary_that_lost_nothing_with_success(server):
    with Program("canary", url(server.port), "--every", "0.1", "--report", "0.5") as program:
        line = program.line()
        while "poll 0" in line:
            line = program.line()
        assert program.end(signal.SIGTERM) == 0
        assert program.errors.empty()
    assert re.fullmatch(r"\S+Z  pushes \d+ max \S+ ms(  \w+ \d+( max \S+ ms)?){4}", line)


def test_outage_is_told_counted_and_survived(make_server):
    server = make_server()
    (port,) = free_ports(1)
    options = ("--lost-after", "2", "--metrics", f"127.0.0.1:{port}")
    with Program("canary", url(server.port), *QUICK, *options) as program:
        eventually(lambda: all(figures(port)["cometify_canary_connected", name] for name in TRANSPORTS), 60)
        server.stop(signal.SIGKILL)
        assert "unreachable" in program.error("pushing")
        eventually(lambda: not any(figures(port)["cometify_canary_connected", name] for name in TRANSPORTS), 60)
        server.start()
        awaited = {"pushing:", *(f"{name}:" for name in TRANSPORTS)}
        while awaited:
            awaited.discard(program.error("works again").split()[1])
        before = figures(port)
        eventually(lambda: all(figures(port)[heard] > before[heard] + 2 for heard in
                               [("cometify_canary_heard_total", name) for name in TRANSPORTS]), 60)  # fmt: skip
        found = figures(port)
        assert program.end(signal.SIGINT) == 1
    assert found["cometify_canary_pushes_total", "failed"] > 0
    assert all(found["cometify_canary_interruptions_total", name] > 0 for name in TRANSPORTS)
    assert all(found["cometify_canary_repeated_total", name] == 0 for name in TRANSPORTS)


def test_transport_that_a_proxy_holds_up_loses_its_pushes(server, tmp_path):
    faults = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; gzip on; gzip_types *; gzip_min_length 1;"
    held = f"location ~ /events$ {{ {PASSES} {faults} proxy_pass http://127.0.0.1:{server.port}; }}"
    (port,) = free_ports(1)
    with (
        Nginx(tmp_path / "nginx", server.port, PASSES, held) as nginx,
        Program("canary", url(nginx.port), *QUICK, "--lost-after", "0.5", "--metrics", f"127.0.0.1:{port}") as program,
    ):
        eventually(lambda: figures(port)["cometify_canary_heard_total", "stream"] > 5, 60)
        eventually(lambda: figures(port)["cometify_canary_interruptions_total", "events"] > 0, 60)
        assert "buffering" in program.error("events")
        eventually(lambda: figures(port)["cometify_canary_lost_total", "events"] > 2, 60)
        found = figures(port)
        assert program.end(signal.SIGTERM) == 1
    assert found["cometify_canary_heard_total", "events"] == 0
    assert found["cometify_canary_connected", "stream"] == 1


def test_canary_before_the_server_begins_at_zero_and_loses_nothing(make_server):
    """Its metrics are those of the page. Listeners that never joined owe nothing of the time before."""
    server = make_server()
    server.stop()
    (port,) = free_ports(1)
    with Program("canary", url(server.port), *QUICK, "--lost-after", "3", "--metrics", f"127.0.0.1:{port}") as program:
        program.error("pushing")
        found = figures(port)
        listed = set(re.findall(r"^\| `(cometify_canary_\w+)", WATCHING.read_text("utf-8"), re.MULTILINE))
        served = {re.sub(r"_(?:bucket|sum|count)$", "", key[0]) for key in found if key[0].startswith("cometify_")}
        assert served == listed
        for name in TRANSPORTS:
            for kind in ("heard", "lost", "late", "repeated"):
                assert found[f"cometify_canary_{kind}_total", name] == 0
            eventually(lambda name=name: figures(port)["cometify_canary_interruptions_total", name] > 0, 60)
        server.start()
        eventually(lambda: all(figures(port)["cometify_canary_heard_total", name] > 15 for name in TRANSPORTS), 60)
        found = figures(port)
        program.end(signal.SIGTERM)
    assert [found["cometify_canary_lost_total", name] for name in TRANSPORTS] == [0] * 4


def test_wrong_secret_ends_the_canary_at_once(server):
    with Program("canary", url(server.port, "wrong")) as program:
        assert "cometify doctor" in program.error("not_authorized")
        assert program.end() == 3


def test_server_that_never_answers_has_a_status_of_its_own():
    (port,) = free_ports(1)
    with Program("canary", url(port), *QUICK, "--seconds", "0.5") as program:
        assert program.end() == 4


def test_address_that_cannot_be_served_is_refused(server):
    where = url(server.port)
    for address, status, part in (
        ("localhost:9102", 2, "no IP address"),
        ("127.0.0.1", 2, "no IP address"),
        ("127.0.0.1:x", 2, "no port"),
        (f"127.0.0.1:{server.port}", 1, "cannot be served"),
    ):
        code, words = invoked(where, "--metrics", address)
        assert (code, part in words) == (status, True)


def test_url_without_the_secret_is_refused():
    code, words = invoked(f"http://{API_KEY}@127.0.0.1:1")
    assert (code, "signed" in words) == (1, True)
