"""The files for Traefik. Traefik itself is in no registry, so the names in them are held against each other."""

import re

import yaml

from bench.rig.balancers import DEPLOY


def read(name):
    return yaml.safe_load((DEPLOY / "traefik" / name).read_text())


def test_static_file_reads_the_dynamic_one():
    assert read("traefik.yml")["providers"]["file"]["filename"].endswith("/dynamic.yml")
    assert "accessLog" not in read("traefik.yml"), "queries can hold keys"


def test_router_uses_what_is_there():
    http = read("dynamic.yml")["http"]
    assert set(http) == {"routers", "middlewares", "services", "serversTransports"}
    (router,) = http["routers"].values()
    assert set(router["entryPoints"]) <= set(read("traefik.yml")["entryPoints"])
    assert set(router["middlewares"]) == set(http["middlewares"])
    assert {router["service"]} == set(http["services"])
    balancer = http["services"][router["service"]]["loadBalancer"]
    assert {balancer["serversTransport"]} == set(http["serversTransports"])


def test_nodes_and_their_health_are_those_of_haproxy():
    balancer = read("dynamic.yml")["http"]["services"]["cometify"]["loadBalancer"]
    haproxy = (DEPLOY / "haproxy.cfg").read_text()
    nodes = re.findall(r"server node\d (\S+)$", haproxy, re.MULTILINE)
    assert [server["url"] for server in balancer["servers"]] == [f"http://{node}" for node in nodes]
    health = balancer["healthCheck"]
    assert f"uri {health['path']} " in haproxy
    assert f"check port {health['port']} " in haproxy
