"""The rules for Prometheus and the dashboard: tested by promtool, and by a real Prometheus that scrapes real servers."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.rig.ports import free_ports
from tests.certificates import make_key_pair
from tests.command.programs import Program
from tests.conftest import Redis
from tests.contract.test_workers import Workers
from tests.deploy.prometheus import RULES, WITHIN, Prometheus
from tests.style.test_docs import anchors
from tests.wire import API_KEY, API_SECRET, FORM, eventually, form, secure

ROOT = Path(__file__).parents[2]
RUNBOOK = ROOT / "docs/runbook.md"
DASHBOARD = ROOT / "deploy/grafana/cometify.json"
RULE_FILE = RULES / "cometify.rules.yaml"
TESTS = sorted(RULES.glob("*.tests.yaml"))
METRIC = re.compile(r"(?<![\w:/])(?:cometify|process)_\w+")
JOB = "cometify"


def rules(kind: str) -> list[dict[str, Any]]:
    """The rules that record, or those that alert."""
    groups = yaml.safe_load(RULE_FILE.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Those of all panels, with the variables of Grafana filled in."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    filled = [text.replace("$job", JOB).replace("$instance", ".*").replace("$__rate_interval", "1m") for text in found]
    assert not any("$" in text for text in filled)
    return filled


# Without a server.


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_promtool_accepts_the_rules_and_their_tests(file):
    for command in (["check", "rules", str(RULE_FILE)], ["test", "rules", str(file)]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_as_firing_and_as_quiet():
    tested: dict[bool, set[str]] = {True: set(), False: set()}
    for file in TESTS:
        for test in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                tested[bool(case.get("exp_alerts"))].add(case["alertname"])
    names = {rule["alert"] for rule in rules("alert")}
    assert len(names) > 15
    assert tested == {True: names, False: names}


def test_each_alert_has_a_section_in_the_runbook():
    text = RUNBOOK.read_text("utf-8")
    for rule in rules("alert"):
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "https://push.example.org/docs/runbook.html"
        assert anchor == rule["alert"].lower()
        assert anchor in anchors(text)
        assert rule["annotations"]["summary"]
    sections = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert sorted(sections) == sorted(rule["alert"] for rule in rules("alert"))


def test_runbook_lists_the_alerts_by_severity():
    head = RUNBOOK.read_text("utf-8").partition("\n## ")[0]
    table = re.findall(r"^\|(.*)\|(.*)\|$", head, re.MULTILINE)[2:]
    listed = [set(re.findall(r"\[(\w+)\]", " ".join(column))) for column in zip(*table, strict=True)]
    by_severity = [
        {rule["alert"] for rule in rules("alert") if rule["labels"] == {"severity": severity}}
        for severity in ("page", "ticket")
    ]
    assert listed == by_severity


def test_incidents_tell_the_times_of_their_alerts():
    text = (ROOT / "docs/incidents.md").read_text("utf-8")
    told = re.findall(r"\[(\w+)\]\(runbook\.md#\w+\), (?:(\d+) min|at the next scrape)", text)
    times = {rule["alert"]: rule.get("for", "").removesuffix("m") for rule in rules("alert")}
    assert len(told) > 10
    assert [(alert, minutes) for alert, minutes in told if times[alert] != minutes] == []


def test_panels_do_not_overlap_and_have_one_source():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert len({panel["title"] for panel in panels()}) == len(panels())


# With servers and a Prometheus.


def visit(server: Workers) -> None:
    """One of everything that the dashboard shows: pushes, refusals, listeners that leave, and one that comes back."""
    body = form({"text": "x", "secret": "0", "secure": secure("chat", "x")})
    with server.websocket("identifiers=chat") as listener:
        listener.joined()
        answer = server.request("POST", f"/{API_KEY}/push/chat", body, FORM)
        assert answer.status == 200
        position = json.loads(answer.body)["position"]
        assert listener.texts(1) == ["x"]
    with server.websocket(f"identifiers=chat&position={position - 1}") as again:
        assert again.texts(1) == ["x"]
    assert server.request("POST", f"/{API_KEY}/push/chat", form({"text": "x", "secret": "0"}), FORM).status == 400


@pytest.fixture(scope="module")
def prometheus(redis: Redis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a server of two workers and a canary, with load until each panel has figures.

    Redis has a replica, and pushes wait for it, because the figures of replicas are told only then.
    """
    options = {"drain": 1, "redis": redis.url, "redis_wait": 1, "workers": 2}
    replica = Redis(tmp_path_factory.mktemp("replica"))
    replica.options = (*replica.options, "--replicaof", f"127.0.0.1 {redis.port}")
    replica.start()
    folder = tmp_path_factory.mktemp("workers")
    make_key_pair(folder / "key.pem", folder / "cert.pem", days=60)
    (tls,) = free_ports(1)
    options["websocket"] = [f"ssl:{tls}:privateKey=key.pem:certKey=cert.pem:interface=127.0.0.1"]
    server = Workers(folder, options, {}).start()
    url = f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"
    (port,) = free_ports(1)
    targets = {JOB: [server.admin_port], f"{JOB}-canary": [port]}
    try:
        with (
            Program("canary", url, "--metrics", f"127.0.0.1:{port}"),
            Prometheus(tmp_path_factory.mktemp("prometheus"), targets) as started,
        ):
            eventually(lambda: started.numbers(f'up{{job="{JOB}"}}') == [1], WITHIN)
            until = time.monotonic() + WITHIN
            while started.without_numbers(expressions()) and time.monotonic() < until:
                visit(server)
                time.sleep(0.3)
            yield started
    finally:
        server.stop()
        replica.stop()


def test_each_panel_has_figures(prometheus):
    assert prometheus.without_numbers(expressions()) == []


def test_no_rule_fails_and_no_alert_fires(prometheus):
    groups = prometheus.ask("rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) == len(rules("record")) + len(rules("alert"))
    assert {(rule["health"], rule.get("lastError", "")) for rule in found} == {("ok", "")}
    assert [rule["name"] for rule in found if rule.get("state") == "firing"] == []


def test_rules_and_dashboard_name_metrics_that_exist(prometheus):
    names = prometheus.names()
    text = RULE_FILE.read_text("utf-8").replace("runbook.html#cometify", "") + " ".join(expressions())
    named = set(METRIC.findall(re.sub(r"\w+:cometify_[\w:]+", "", text)))
    assert len(named) > 20
    assert named - names == set()
    recorded = {rule["record"] for rule in rules("record")}
    assert set(re.findall(r"\w+:cometify_[\w:]+", text)) == recorded
    eventually(lambda: recorded <= prometheus.names(), WITHIN)


def test_sums_are_over_all_workers(prometheus):
    (joined,) = prometheus.numbers("sum(cometify_listeners_joined_total)")
    assert joined > 0
    (processes,) = prometheus.numbers(f'count(process_start_time_seconds{{job="{JOB}"}})')
    assert processes == 3
    assert len(prometheus.numbers("job_transport:cometify_listeners:sum")) == 4
