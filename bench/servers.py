"""The servers: what each is started with, how one listens to it and publishes to it, and how it is installed.

How to listen and publish is told in the generator's arguments (the top of wsload.c explains them). The ways to listen
are `websocket`, `stream`, `events`, `poll` and `replay`; a server is measured in the works whose way it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import versions

HERE = Path(__file__).resolve().parent
BUILD = HERE / ".build"
PEERS = HERE / ".peers"
NODE_MODULES = PEERS / "node_modules"
PEERS_PYTHON = PEERS / "venv/bin/python"
NGINX = Path("/usr/sbin/nginx")
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
NATS = Path("/usr/sbin/nats-server")

Arguments = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a server is started: a folder of its own, its ports, the folder of Cometify's programs."""

    folder: Path
    port: int
    second: int
    programs: Path

    def write(self, name: str, text: str) -> str:
        """Write a file of configuration; returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True)
class Server:
    """A server that can be measured."""

    name: str
    title: str
    needs: tuple[Path, ...]
    install: str
    version: Callable[[Path], str]
    command: Callable[[Place], list[str]]
    listen: Mapping[str, Arguments]
    publish: Arguments
    publish_on_second: bool = False
    second: bool = False
    environment: Callable[[Place], dict[str, str]] = field(default=lambda _place: {})

    def installed(self) -> bool:
        return all(path.exists() for path in self.needs)

    def ports(self, place: Place) -> tuple[int, ...]:
        """The ports that are to be waited for."""
        return (place.port, place.second) if self.second else (place.port,)

    def listener_arguments(self, way: str, place: Place) -> list[str]:
        return ["--port", str(place.port), *self.listen[way]]

    def publisher_arguments(self, place: Place) -> list[str]:
        return ["--pub-port", str(place.second if self.publish_on_second else place.port), *self.publish]


# Cometify

KEY = "bench"
SECRET = "benchsecret"  # noqa: S105 - nothing is protected by it
_COMETIFY = """\
http = ["tcp:{place.second}:interface=127.0.0.1"]
websocket = ["tcp:{place.port}:interface=127.0.0.1"]
drain = 1

[[account]]
api_key = "{key}"
api_secret = "{secret}"
listeners_per_ip = 1000000
"""


def _cometify(place: Place) -> list[str]:
    config = place.write("cometify.toml", _COMETIFY.format(place=place, key=KEY, secret=SECRET))
    return [str(place.programs / "twistd"), "-n", "--pidfile=", "cometify", "--config", config]


_JOINED = ("--await", '"heartbeat"')  # comes when a listener is at the head


@dataclass(frozen=True)
class Cometify(Server):
    """Its streams and polls are on its HTTP port."""

    def listener_arguments(self, way: str, place: Place) -> list[str]:
        port = place.port if way in {"websocket", "replay"} else place.second
        return ["--port", str(port), *self.listen[way]]


COMETIFY = Cometify(
    name="cometify",
    title="Cometify",
    needs=(),
    install="",
    version=versions.of_cometify,
    command=_cometify,
    second=True,
    listen={
        "websocket": ("--path", f"/{KEY}/websocket?identifiers=bench", *_JOINED),
        "replay": ("--path", f"/{KEY}/websocket?identifiers=bench:0", *_JOINED),
        "stream": ("--mode", "lines", "--path", f"/{KEY}/stream?identifiers=bench", *_JOINED),
        "events": ("--mode", "sse", "--path", f"/{KEY}/events?identifiers=bench", *_JOINED),
        "poll": (
            "--mode", "longpoll", "--path", f"/{KEY}/poll?identifiers=bench&position={{C1}}",
            "--capture", 'B:"position":',
        ),
    },
    publish=(
        "--pub-path", f"/{KEY}/push/bench", "--pub-enc", "url", "--pub-body", "identifier=bench&secret=0&text={P}",
        "--pub-cometify", f"{KEY}:{SECRET}:bench",
    ),
    publish_on_second=True,
)  # fmt: skip


# The floor

FLOOR = Server(
    name="rawfan",
    title="C floor (rawfan)",
    needs=(HERE / "rawfan.c",),
    install="",
    version=lambda _programs: versions.first_line("gcc", "--version"),
    command=lambda place: [str(BUILD / "rawfan"), str(place.port)],
    # It speaks WebSocket only; a send() is a send(), so it is the floor of streams and events as well.
    listen=dict.fromkeys(("websocket", "stream", "events"), ("--path", "/")),
    publish=("--pub-path", "/pub"),
)


# From Debian

_NGINX = """\
load_module {nchan};
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    nchan_max_reserved_memory 256M;
    nchan_message_buffer_length {kept};
    server {{
        nchan_websocket_ping_interval 0;
        nchan_subscriber_first_message newest;
        listen 127.0.0.1:{port} backlog=4096;
        location = /pub {{ nchan_publisher; nchan_channel_id bench; }}
        location = /websocket {{ nchan_subscriber websocket; nchan_channel_id bench; }}
        location = /events {{ nchan_subscriber eventsource; nchan_channel_id bench; }}
        location = /poll {{ nchan_subscriber longpoll; nchan_channel_id bench; }}
        location = /replay {{
            nchan_subscriber websocket;
            nchan_channel_id bench;
            nchan_subscriber_first_message oldest;
        }}
    }}
}}
"""
_NCHAN_EVENTS = ("--mode", "sse", "--path", "/events", "--header", "Accept: text/event-stream")


def _nchan(place: Place) -> list[str]:
    config = place.write("nginx.conf", _NGINX.format(nchan=NCHAN, folder=place.folder, port=place.port, kept=KEPT))
    return [str(NGINX), "-p", str(place.folder), "-e", "stderr", "-c", config]


KEPT = 100  # messages that there are to replay
_LAST_KEPT = f".{KEPT - 1:010}."  # stands in the last of them

NCHAN_SERVER = Server(
    name="nchan",
    title="nchan, one worker",
    needs=(NGINX, NCHAN),
    install="bench/setup debian (apt-get install nginx libnginx-mod-nchan)",
    version=lambda _programs: versions.of_debian("libnginx-mod-nchan", "nginx"),
    command=_nchan,
    listen={
        "websocket": ("--path", "/websocket"),
        "replay": ("--path", "/replay", "--await", _LAST_KEPT),
        "stream": _NCHAN_EVENTS,  # it has no stream of lines: its EventSource is what stream is compared with
        "events": _NCHAN_EVENTS,
        "poll": (
            "--mode", "longpoll", "--path", "/poll", "--capture", "h:Last-Modified", "--capture", "h:Etag",
            "--header", "If-Modified-Since: {C1}", "--header", "If-None-Match: {C2}",
        ),
    },
    publish=("--pub-path", "/pub"),
)  # fmt: skip

_NATS = """\
listen: "127.0.0.1:{place.second}"
max_connections: 100000
websocket {{ listen: "127.0.0.1:{place.port}", no_tls: true }}
"""
_NATS_HELLO = r'CONNECT {"verbose":false,"pedantic":false}\r\n'

NATS_SERVER = Server(
    name="nats",
    title="NATS over WebSocket",
    needs=(NATS,),
    install="bench/setup debian (apt-get install nats-server)",
    version=lambda _programs: versions.of_debian("nats-server"),
    command=lambda place: [str(NATS), "-c", place.write("nats.conf", _NATS.format(place=place))],
    second=True,
    listen={
        "websocket": (
            "--bin", "--stream", "--await", "INFO", "--send", _NATS_HELLO + r"SUB bench 1\r\nPING\r\n",
            "--await", "PONG", "--reply", r"PING\r\n=>PONG\r\n",
        ),
    },
    # It has no HTTP: it is published to over its own protocol, which does not answer, and is left out of those works.
    publish=("--pub-ws", "--pub-await", "INFO", "--pub-send", _NATS_HELLO, "--pub-body", r"PUB bench {L}\r\n{P}\r\n"),
)  # fmt: skip


# From npm


def _node(script: str) -> Callable[[Place], list[str]]:
    return lambda place: ["node", str(HERE / "peers" / script), str(place.port)]


def _node_environment(_place: Place) -> dict[str, str]:
    return {"NODE_PATH": str(NODE_MODULES), "NODE_ENV": "production"}


def _of_npm(package: str) -> Callable[[Path], str]:
    return lambda _programs: versions.of_npm(NODE_MODULES, package)


_NPM = "bench/setup npm"

UWS = Server(
    name="uws",
    title="uWebSockets.js",
    needs=(NODE_MODULES / "@btc-vision/uwebsockets.js",),
    install=_NPM,
    version=_of_npm("@btc-vision/uwebsockets.js"),
    command=_node("uws.js"),
    environment=_node_environment,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
)

WS = Server(
    name="ws",
    title="ws",
    needs=(NODE_MODULES / "ws",),
    install=_NPM,
    version=_of_npm("ws"),
    command=_node("ws.js"),
    environment=_node_environment,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
)

SOCKETIO = Server(
    name="socketio",
    title="socket.io",
    needs=(NODE_MODULES / "socket.io",),
    install=_NPM,
    version=_of_npm("socket.io"),
    command=_node("socketio.js"),
    environment=_node_environment,
    listen={
        "websocket": (
            "--path", "/socket.io/?EIO=4&transport=websocket", "--await", "0{", "--send", "40", "--await", "40{",
            "--reply", "2=>3",
        ),
    },
    publish=("--pub-path", "/pub"),
)  # fmt: skip

_FAYE_HANDSHAKE = (
    '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["websocket","long-polling"]}]'
)
_FAYE_SUBSCRIBE = '[{"channel":"/meta/subscribe","clientId":"{C1}","subscription":"/bench"}]'

FAYE = Server(
    name="faye",
    title="faye",
    needs=(NODE_MODULES / "faye",),
    install=_NPM,
    version=_of_npm("faye"),
    command=_node("faye.js"),
    environment=_node_environment,
    listen={
        "websocket": (
            "--path", "/bayeux", "--capture", 'b:"clientId":', "--send", _FAYE_HANDSHAKE,
            "--await", '"clientId"', "--send", _FAYE_SUBSCRIBE, "--await", '"subscription"',
            "--send", '[{"channel":"/meta/connect","clientId":"{C1}","connectionType":"websocket"}]',
        ),
        "poll": (
            "--mode", "longpoll", "--path", "/bayeux", "--capture", 'b:"clientId":', "--lp-method", "POST",
            "--send", _FAYE_HANDSHAKE, "--send", _FAYE_SUBSCRIBE,
            "--lp-body", '[{"channel":"/meta/connect","clientId":"{C1}","connectionType":"long-polling"}]',
        ),
    },
    publish=(
        "--pub-path", "/bayeux", "--pub-ctype", "application/json",
        "--pub-body", '[{"channel":"/bench","data":"{P}"}]',
    ),
)  # fmt: skip

_SOKETI_SERVER = NODE_MODULES / "@soketi/soketi/bin/server.js"

SOKETI = Server(
    name="soketi",
    title="soketi",
    needs=(_SOKETI_SERVER,),
    install=_NPM,
    version=_of_npm("@soketi/soketi"),
    command=lambda _place: ["node", str(_SOKETI_SERVER), "start"],
    environment=lambda place: {
        "NODE_ENV": "production",
        "SOKETI_HOST": "127.0.0.1",
        "SOKETI_PORT": str(place.port),
        "SOKETI_DEFAULT_APP_ID": KEY,
        "SOKETI_DEFAULT_APP_KEY": KEY,
        "SOKETI_DEFAULT_APP_SECRET": SECRET,
    },
    listen={
        "websocket": (
            "--path", f"/app/{KEY}?protocol=7&client=bench&version=1", "--await", "connection_established",
            "--send", '{"event":"pusher:subscribe","data":{"channel":"bench"}}',
            "--await", "subscription_succeeded",
        ),
    },
    publish=(
        "--pub-path", f"/apps/{KEY}/events", "--pub-ctype", "application/json",
        "--pub-body", '{"name":"push","channels":["bench"],"data":"{P}"}', "--pub-pusher", f"{KEY}:{SECRET}",
    ),
)  # fmt: skip


# From PyPI


def _python(script: str) -> Callable[[Place], list[str]]:
    return lambda place: [str(PEERS_PYTHON), str(HERE / "peers" / script), str(place.port), str(place.second)]


_PIP = "bench/setup pip"

WEBSOCKETS = Server(
    name="websockets",
    title="websockets broadcast()",
    needs=(PEERS_PYTHON,),
    install=_PIP,
    version=lambda _programs: versions.of_python(PEERS_PYTHON, "websockets"),
    command=_python("broadcast.py"),
    second=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
    publish_on_second=True,
)

PLAIN = Server(
    name="autobahn",
    title="Autobahn and Twisted, plain",
    needs=(PEERS_PYTHON,),
    install=_PIP,
    version=lambda _programs: versions.of_python(PEERS_PYTHON, "autobahn", "Twisted"),
    command=_python("plain.py"),
    second=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
    publish_on_second=True,
)

SERVERS = {
    server.name: server
    for server in (
        FLOOR, COMETIFY, NCHAN_SERVER, UWS, WS, SOKETI, WEBSOCKETS, SOCKETIO, FAYE, NATS_SERVER, PLAIN,
    )
}  # fmt: skip
