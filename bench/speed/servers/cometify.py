"""Cometify: one process with default settings, except for the number of listeners of one address."""

import json
from http.client import HTTPConnection

from bench.rig.account import KEY, SECRET
from bench.speed import versions
from bench.speed.servers.server import Server, Workspace

_CONFIG = """\
http = ["tcp:{workspace.publisher_port}:interface=127.0.0.1"]
websocket = [{websocket}]
admin = "tcp:{workspace.admin}:interface=127.0.0.1"
drain = 1
connections_per_ip = 0
{more}

[[account]]
api_key = "{key}"
api_secret = "{secret}"
listeners_per_ip = 1000000
"""
_TLS = "ssl:{workspace.tls}:interface=127.0.0.1:privateKey={workspace.certificate.key}:certKey={workspace.certificate.cert}"


def command(workspace: Workspace, more: str = "") -> list[str]:
    """Return the command that starts Cometify, with `more` lines of settings."""
    endpoints = [f"tcp:{workspace.port}:interface=127.0.0.1"]
    if workspace.certificate:
        endpoints.append(_TLS.format(workspace=workspace))
    text = _CONFIG.format(workspace=workspace, websocket=json.dumps(endpoints)[1:-1], key=KEY, secret=SECRET, more=more)
    config = workspace.write("cometify.toml", text)
    return [str(workspace.programs / "twistd"), "-n", "--pidfile=", "cometify", "--config", config]


def _cursor(workspace: Workspace) -> str:
    """Return the position of a listener that joins now."""
    connection = HTTPConnection("127.0.0.1", workspace.publisher_port, timeout=10)
    connection.request("GET", f"/{KEY}/poll?identifiers=bench")
    frames = connection.getresponse().read().splitlines()
    connection.close()
    return str(json.loads(frames[-1])["position"])


_AT_THE_HEAD = ("--await", '"type":"heartbeat"')
_WEBSOCKET = f"/{KEY}/websocket?identifiers={{identifier}}"

COMETIFY = Server(
    name="cometify",
    title="Cometify",
    version=versions.of_cometify,
    command=command,
    has_publisher_port=True,
    many_identifiers=True,
    cursor=_cursor,
    listen={
        "websocket": ("--path", _WEBSOCKET, *_AT_THE_HEAD),
        "tls": ("--tls", "--port", "{tls}", "--path", _WEBSOCKET, *_AT_THE_HEAD),
        "rejoin": ("--path", _WEBSOCKET + "&position={cursor}", *_AT_THE_HEAD),
        "stream": (
            "--mode", "lines", "--port", "{publisher_port}", "--path", f"/{KEY}/stream?identifiers={{identifier}}",
            *_AT_THE_HEAD,
        ),
        "events": (
            "--mode", "sse", "--port", "{publisher_port}", "--path", f"/{KEY}/events?identifiers={{identifier}}",
            *_AT_THE_HEAD,
        ),
        "poll": (
            "--mode", "longpoll", "--port", "{publisher_port}",
            "--path", f"/{KEY}/poll?identifiers={{identifier}}&position={{C1}}", "--capture", 'B:"position":',
        ),
        "kept": (),
    },
    publish=(
        "--pub-port", "{publisher_port}", "--pub-path", f"/{KEY}/push/{{identifier}}",
        "--pub-enc", "url", "--pub-body", "identifier={identifier}&secret=0&text={P}",
        "--pub-cometify", f"{KEY}:{SECRET}:{{identifier}}",
    ),
)  # fmt: skip
