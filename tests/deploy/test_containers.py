"""The Containerfile and the files for compose: names, ports and addresses are those of the code and of each other."""

import json
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from cometify.app.options import Options
from cometify.config.settings import Settings
from cometify.runtime.supervisor import GRACE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = ("compose.yaml", "compose.cluster.yaml")
WRITTEN_BY_OPERATOR = "./cometify.toml"
DEFAULTS = Settings(accounts=())
NODES = ("node1", "node2", "node3")


def instructions():
    """The instructions of the Containerfile: one list for each stage."""
    lines = [line for line in (ROOT / "Containerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    stages = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.startswith("FROM "):
            stages.append([])
        if line.strip():
            stages[-1].append(tuple(line.split(maxsplit=1)))
    return stages


def last(name):
    (value,) = [value for instruction, value in instructions()[-1] if instruction == name]
    return value


def compose(name):
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def services(name, image="cometify"):
    """The services of an image. The canary has that of the nodes, and is a program beside them."""
    found = compose(name)["services"].items()
    return {key: service for key, service in found if service["image"] == image and key != "canary"}


def port_of(endpoint):
    return int(endpoint.split(":")[1])


def test_image_runs_as_a_user_who_is_not_root():
    user, group = last("USER").split(":")
    assert int(user) > 1000
    assert user == group
    assert f"--uid {user} " in last("RUN")
    after = [name for name, _value in instructions()[-1]]
    assert after.index("USER") > after.index("RUN")
    assert after.index("USER") > after.index("COPY")


def test_image_exposes_the_ports_of_the_server():
    assert last("EXPOSE").split() == [str(port_of(endpoint)) for endpoint in (*DEFAULTS.http, *DEFAULTS.websocket)]


def test_stages_have_the_same_python_and_it_is_supported():
    bases = {value.split()[0] for stage in instructions() for name, value in stage if name == "FROM"}
    (base,) = bases
    version = re.fullmatch(r"python:(3\.\d+)-slim", base)[1]
    assert f"Programming Language :: Python :: {version}\n" in (ROOT / "setup.cfg").read_text("utf-8")


def test_builder_is_sent_only_the_files_that_are_copied():
    copied = {
        source
        for stage in instructions()
        for name, value in stage
        if name == "COPY" and "--from" not in value
        for source in value.split()[:-1]
    }
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert lines.index("**/*.toml") > lines.index("!cometify")


def test_no_layer_holds_a_secret():
    for stage in instructions():
        for name, value in stage:
            assert name != "ARG"
            assert name != "ENV" or not re.search(r"(?i)secret|password|token|key", value)
            assert not fnmatch(value, "*cometify.toml*")


def health_check(port):
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    admin = port_of(DEFAULTS.admin)
    assert f":{admin}/" in command[-1]
    return [sys.executable, *command[1:-1], command[-1].replace(f":{admin}/", f":{port}/")]


def test_health_check_succeeds_while_the_server_answers(server):
    assert subprocess.run(health_check(server.admin_port), check=False, timeout=60).returncode == 0


def test_health_check_fails_where_nothing_answers(server):
    command = health_check(server.port)  # This port has no /health/live.
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 1


def test_command_of_the_image_serves():
    assert (json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))) == (["cometify"], ["serve"])


@pytest.mark.parametrize("name", COMPOSE)
def test_each_service_uses_files_that_exist(name):
    for service in compose(name)["services"].values():
        if "build" in service:
            assert (
                DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]
            ).resolve() == ROOT / "Containerfile"
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert source == WRITTEN_BY_OPERATOR or (DEPLOY / source).is_file(), source
                assert rest.endswith(":ro")
            else:
                assert source in compose(name)["volumes"]


@pytest.mark.parametrize("name", COMPOSE)
def test_each_service_gives_up_its_privileges(name):
    for key, service in compose(name)["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], key
        assert service.get("user") != "root"
        assert "privileged" not in service
    for node in services(name).values():
        assert (node["cap_drop"], node["read_only"], node["tmpfs"]) == (["ALL"], True, ["/tmp"])  # noqa: S108 - the sockets of workers are there
        assert int(node["stop_grace_period"].removesuffix("s")) > DEFAULTS.drain + GRACE


@pytest.mark.parametrize("name", COMPOSE)
def test_options_of_each_node_can_be_used(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for node in services(name).values():
        command = node.get("command", json.loads(last("CMD")))
        assert command[0] == "serve"
        options = Options()
        options.parseOptions(command[1:])
        assert options.settings.http == DEFAULTS.http
        assert port_of(options.settings.admin) == port_of(DEFAULTS.admin)


def test_one_node_is_published_on_the_loopback():
    (node,) = services("compose.yaml").values()
    port = port_of(DEFAULTS.http[0])
    assert node["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_cluster_publishes_the_balancer_alone_to_all():
    published = {key: service.get("ports", []) for key, service in compose("compose.cluster.yaml")["services"].items()}
    assert {key for key, ports in published.items() if ports} == {"haproxy", "prometheus", "grafana"}
    assert [key for key, ports in published.items() for port in ports if not port.startswith("127.0.0.1:")] == [
        "haproxy"
    ]


def test_only_nodes_reach_the_store():
    table = compose("compose.cluster.yaml")
    assert table["networks"]["store"]["internal"]
    assert {key for key, service in table["services"].items() if "store" in service["networks"]} == {*NODES, "valkey"}
    assert {name: node["command"][2] for name, node in services("compose.cluster.yaml").items()} == dict.fromkeys(
        NODES, "redis://valkey:6379/0"
    )
    assert shlex.join(table["services"]["valkey"]["command"]).endswith("--maxmemory-policy noeviction")


def addresses():
    table = compose("compose.cluster.yaml")["services"]
    return {key: table[key]["networks"]["nodes"]["ipv4_address"] for key in (*NODES, "haproxy")}


def test_addresses_of_the_cluster_are_in_its_network():
    network = ip_network(compose("compose.cluster.yaml")["networks"]["nodes"]["ipam"]["config"][0]["subnet"])
    assert len(set(addresses().values())) == 4
    assert all(ip_address(address) in network for address in addresses().values())
    told = (DEPLOY / "compose.cluster.yaml").read_text("utf-8"), (ROOT / "docs/containers.md").read_text("utf-8")
    assert all(f'trusted_proxies = ["{addresses()["haproxy"]}"]' in text for text in told)


def test_balancer_of_the_cluster_is_the_one_of_deploy():
    """HAProxy's file is deploy/haproxy.cfg, which real nodes stand behind in other tests, with other addresses."""
    expected = []
    for line in (DEPLOY / "haproxy.cfg").read_text("utf-8").splitlines():
        if line.startswith("#"):
            continue
        if line.endswith("bind :80"):
            expected.append(line.replace(":80", ":8081"))
            continue
        found = re.match(r" +server (node\d) (10\.0\.0\.\d+):", line)
        expected.append(line.replace(found[2], addresses()[found[1]]) if found else line)
        if found and found[1] == "node2":
            expected.append(line.replace("node2", "node3").replace(found[2], addresses()["node3"]))
    text = (DEPLOY / "cluster/haproxy.cfg").read_text("utf-8")
    assert [line for line in text.splitlines() if not line.startswith("#")] == expected
    assert compose("compose.cluster.yaml")["services"]["haproxy"]["ports"] == ["8081:8081"]


def test_haproxy_takes_the_file_of_the_cluster():
    command = ["haproxy", "-c", "-f", str(DEPLOY / "cluster/haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_prometheus_asks_each_node_at_its_admin_port():
    job, canary = compose("prometheus/prometheus.yaml")["scrape_configs"]
    command = compose("compose.cluster.yaml")["services"]["canary"]["command"]
    assert canary["static_configs"] == [{"targets": [f"canary:{command[-1].rpartition(':')[2]}"]}]
    port = port_of(DEFAULTS.admin)
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name in NODES]}]
    (rules,) = compose("prometheus/prometheus.yaml")["rule_files"]
    mounted = compose("compose.cluster.yaml")["services"]["prometheus"]["volumes"]
    assert any(volume.endswith(f"/{rules}:ro") for volume in mounted)
