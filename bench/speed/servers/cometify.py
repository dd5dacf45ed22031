"""Cometify: one process, its settings as they come except for the listeners that one address may have."""

import json
from http.client import HTTPConnection

from bench.speed import versions
from bench.speed.servers.server import Place, Server

KEY = "bench"
SECRET = "benchsecret"  # noqa: S105 - nothing is protected by it
_CONFIG = """\
http = ["tcp:{place.second}:interface=127.0.0.1"]
websocket = [{websocket}]
admin = "tcp:0:interface=127.0.0.1"
drain = 1

[[account]]
api_key = "{key}"
api_secret = "{secret}"
listeners_per_ip = 1000000
"""
_TLS = "ssl:{place.tls}:interface=127.0.0.1:privateKey={place.certificate.key}:certKey={place.certificate.cert}"


def _command(place: Place) -> list[str]:
    endpoints = [f"tcp:{place.port}:interface=127.0.0.1"]
    if place.certificate:
        endpoints.append(_TLS.format(place=place))
    text = _CONFIG.format(place=place, websocket=json.dumps(endpoints)[1:-1], key=KEY, secret=SECRET)
    config = place.write("cometify.toml", text)
    return [str(place.programs / "twistd"), "-n", "--pidfile=", "cometify", "--config", config]


def _cursor(place: Place) -> str:
    """The position that a listener has who joins now."""
    connection = HTTPConnection("127.0.0.1", place.second, timeout=10)
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
    command=_command,
    second=True,
    several=True,
    cursor=_cursor,
    listen={
        "websocket": ("--path", _WEBSOCKET, *_AT_THE_HEAD),
        "tls": ("--tls", "--port", "{tls}", "--path", _WEBSOCKET, *_AT_THE_HEAD),
        "rejoin": ("--path", _WEBSOCKET + "&position={cursor}", *_AT_THE_HEAD),
        "stream": (
            "--mode", "lines", "--port", "{second}", "--path", f"/{KEY}/stream?identifiers={{identifier}}",
            *_AT_THE_HEAD,
        ),
        "events": (
            "--mode", "sse", "--port", "{second}", "--path", f"/{KEY}/events?identifiers={{identifier}}",
            *_AT_THE_HEAD,
        ),
        "poll": (
            "--mode", "longpoll", "--port", "{second}",
            "--path", f"/{KEY}/poll?identifiers={{identifier}}&position={{C1}}", "--capture", 'B:"position":',
        ),
        "kept": (),
    },
    publish=(
        "--pub-port", "{second}", "--pub-path", f"/{KEY}/push/{{identifier}}",
        "--pub-enc", "url", "--pub-body", "identifier={identifier}&secret=0&text={P}",
        "--pub-cometify", f"{KEY}:{SECRET}:{{identifier}}",
    ),
)  # fmt: skip
