"""The chart for Kubernetes, as helm renders it and as the schemas of Kubernetes read it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import cometify
from cometify.app.options import Options
from cometify.config.settings import Settings
from cometify.runtime.supervisor import GRACE
from tests.wire import API_KEY, API_SECRET

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/cometify"
VERSIONS = ("1.27", "1.37")
"""The oldest version of Kubernetes that the chart takes, and the newest that is known here."""
DEFAULTS = Settings(accounts=())
REDIS = {"redis": {"existingSecret": "valkey", "key": "address"}}
EVERYTHING = {
    **REDIS,
    "replicas": 3,
    "imagePullSecrets": [{"name": "registry"}],
    "ingress": {"enabled": True, "className": "nginx", "annotations": {"a": "b"}, "tlsSecret": "certificate"},
    "networkPolicy": {"adminFrom": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}]},
    "service": {"annotations": {"a": "b"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}


def helm(*arguments, values=None):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["helm", *arguments, *(() if values is None else ("--values", "-"))],
        input=json.dumps(values),
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def rendered(values=None):
    """The objects of the chart, by their kind. Each is valid in each version of Kubernetes."""
    done = helm("template", "push", str(CHART), values=values or {})
    assert done.returncode == 0, done.stderr
    found = {entry["kind"]: entry for entry in yaml.safe_load_all(done.stdout) if entry}
    for entry in found.values():
        for version in VERSIONS:
            kubernetes_validate.validate(entry, version, strict=True)
    return found


def pod_of(objects):
    return objects["Deployment"]["spec"]["template"]["spec"]


def container_of(objects):
    (container,) = pod_of(objects)["containers"]
    return container


def test_helm_finds_no_fault_in_the_chart():
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_chart_and_image_have_the_version_of_cometify():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["version"] == chart["appVersion"] == cometify.__version__
    assert container_of(rendered())["image"] == f"cometify:{cometify.__version__}"


def test_one_node_keeps_pushes_alone_and_may_be_evicted():
    objects = rendered()
    assert set(objects) == {"Deployment", "Service", "NetworkPolicy"}
    assert objects["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert not any("redis" in argument.lower() for argument in container_of(objects)["args"])


def test_several_nodes_leave_one_after_the_other():
    objects = rendered(EVERYTHING)
    assert set(objects) == {"Deployment", "Service", "NetworkPolicy", "Ingress", "PodDisruptionBudget"}
    spec = objects["Deployment"]["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert objects["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"replicas": 2}, "each keep pushes of their own"),
        ({"redis": {"url": "redis://valkey:6379/0", "existingSecret": "valkey"}}, "either url or existingSecret"),
        ({"replica": 2}, "'replica' not allowed"),
        ({"config": {"existingSecret": ""}}, "existingSecret"),
    ],
)
def test_values_that_cannot_work_are_refused(values, reason):
    done = helm("template", "push", str(CHART), values=values)
    assert done.returncode != 0
    assert reason in done.stderr


@pytest.mark.parametrize("redis", [REDIS, {"redis": {"url": "redis://valkey:6379/0"}}])
def test_arguments_start_a_server(tmp_path, redis):
    """The kubelet puts a variable into the arguments before the process starts."""
    file = tmp_path / "cometify.toml"
    file.write_text(f'[[account]]\napi_key = "{API_KEY}"\napi_secret = "{API_SECRET}"\n')
    container = container_of(rendered(redis))
    command, *arguments = container["args"]
    assert command == "serve"
    (variable,) = container["env"]
    assert variable.get("value", "redis://valkey:6379/0") == "redis://valkey:6379/0"
    values = {"$(REDIS_URL)": "redis://valkey:6379/0", "/etc/cometify/cometify.toml": str(file)}
    options = Options()
    options.parseOptions([values.get(argument, argument) for argument in arguments])
    settings = options.settings
    assert settings is not None
    assert settings.redis is not None
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [f"tcp:{ports['admin']}", f"tcp:{ports['http']}"] == [settings.admin, *settings.http]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == "config"]
    assert (mount["mountPath"], "subPath" in mount) == ("/etc/cometify", False)


def test_password_of_redis_stands_in_no_argument():
    container = container_of(rendered(REDIS))
    assert container["env"] == [
        {"name": "REDIS_URL", "valueFrom": {"secretKeyRef": {"name": "valkey", "key": "address"}}}
    ]
    assert container["args"][-2:] == ["--redis", "$(REDIS_URL)"]


def test_pod_may_do_nothing_that_the_server_does_not_need():
    objects = rendered()
    pod, container = pod_of(objects), container_of(objects)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in (ROOT / "Containerfile").read_text("utf-8")
    assert pod["securityContext"]["fsGroup"] == user
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("drain", [0, DEFAULTS.drain, 600])
def test_node_has_the_time_to_send_its_listeners_away(drain):
    objects = rendered({"drain": drain, "deregistration": 4})
    assert container_of(objects)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "4"]
    assert pod_of(objects)["terminationGracePeriodSeconds"] > 4 + drain + GRACE


def test_default_values_have_the_drain_of_the_server():
    assert yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["drain"] == DEFAULTS.drain


def test_probes_ask_the_health_endpoint():
    container = container_of(rendered())
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/health/live",
        "liveness": "/health/live",
        "readiness": "/health/ready",
    }
    assert {probe["port"] for probe in probes.values()} == {"admin"}


def test_admin_endpoint_is_closed_to_pods_that_are_not_named():
    rules = rendered()["NetworkPolicy"]["spec"]["ingress"]
    assert rules == [{"ports": [{"port": "http"}]}]
    named = rendered(EVERYTHING)["NetworkPolicy"]["spec"]["ingress"][1]
    assert named["from"] == EVERYTHING["networkPolicy"]["adminFrom"]
    (port,) = rendered()["Service"]["spec"]["ports"]
    assert port["targetPort"] == "http"
