"""The host names under which the admin endpoint answers, because of DNS rebinding, and pages of other origins."""

import pytest

from tests.contract.support import API_KEY, code_of
from tests.memory import World

GUARDED = ["/", "/console.js", "/console.css", "/console/processes", "/inspect", "/metrics", "/nowhere"]


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize(
    "host", ["127.0.0.1:8082", "localhost:8082", "LOCALHOST", "node1:8082", "[::1]:8082", "10.0.0.11", ""]
)
def test_hosts_that_no_stranger_can_have_are_answered(world, path, host):
    assert world.admin("GET", path, Host=host).status == (404 if path == "/nowhere" else 200)


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("host", ["rebound.example:8082", "127.0.0.1.rebound.example", "localhost.", "a.b:x"])
def test_hosts_that_a_stranger_can_have_are_refused(world, path, host):
    answer = world.admin("GET", path, Host=host)
    assert (answer.status, code_of(answer)) == (403, "origin_not_allowed")
    assert b"cometify_" not in answer.body


@pytest.mark.parametrize("path", ["/metrics", "/inspect", "/"])
def test_names_of_the_setting_are_answered(path):
    world = World(admin_hosts=("node1.example.org", "Node2.Example.Org"))
    for host in ("node1.example.org:8082", "NODE1.example.org", "node2.example.org", "localhost"):
        assert world.admin("GET", path, Host=host).status == 200
    for host in ("node3.example.org", "node1.example.org.rebound.example", "xnode1.example.org"):
        assert world.admin("GET", path, Host=host).status == 403


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("path", [*GUARDED, "/accounts", f"/{API_KEY}/push/a", f"/{API_KEY}/identifiers/a/pushes"])
@pytest.mark.parametrize("headers", FOREIGN)
def test_page_of_another_origin_gets_no_answer(world, path, headers):
    answer = world.admin("GET", path, Host="127.0.0.1:8082", **headers)
    is_push = path.endswith("push/a")  # which takes no GET
    assert (answer.status, code_of(answer)) == ((405, "method_not_allowed") if is_push else (403, "origin_not_allowed"))
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_browser_of_the_operator_is_answered(world, path, site):
    answer = world.admin("GET", path, Host="127.0.0.1:8082", **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    assert answer.status == (404 if path == "/nowhere" else 200)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", GUARDED)
def test_link_of_another_page_leads_to_the_console_alone(world, path):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert world.admin("GET", path, Host="127.0.0.1:8082", **headers).status == (200 if path == "/" else 403)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_answers_under_every_host(world, path):
    assert world.admin("GET", path, Host="balancer.example").json == {"status": "ok"}


@pytest.mark.parametrize("path", ["/metrics", "/inspect", "/"])
def test_browser_guesses_no_other_type(world, path):
    assert world.admin("GET", path).headers["x-content-type-options"] == "nosniff"
