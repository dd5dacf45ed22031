"""The peers from npm: soketi, and a few lines of node (in peers/) around each of the others."""

from collections.abc import Callable
from pathlib import Path

from bench.rig.account import KEY, SECRET
from bench.rig.folders import BENCH, PEERS
from bench.speed import versions
from bench.speed.servers.server import Server, Workspace

_NODE_MODULES = PEERS / "node_modules"


def _node(script: str) -> Callable[[Workspace], list[str]]:
    return lambda workspace: ["node", str(BENCH / "speed/peers" / script), str(workspace.port)]


def _node_environment(_workspace: Workspace) -> dict[str, str]:
    return {"NODE_PATH": str(_NODE_MODULES), "NODE_ENV": "production"}


def _of_npm(package: str) -> Callable[[Path], str]:
    return lambda _programs: versions.of_npm(_NODE_MODULES, package)


UWS = Server(
    name="uws",
    title="uWebSockets.js",
    needs=(_NODE_MODULES / "@btc-vision/uwebsockets.js",),
    setup_part="npm",
    version=_of_npm("@btc-vision/uwebsockets.js"),
    command=_node("uws.js"),
    environment=_node_environment,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
)

WS = Server(
    name="ws",
    title="ws",
    needs=(_NODE_MODULES / "ws",),
    setup_part="npm",
    version=_of_npm("ws"),
    command=_node("ws.js"),
    environment=_node_environment,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-path", "/pub"),
)

SOCKETIO = Server(
    name="socketio",
    title="socket.io",
    needs=(_NODE_MODULES / "socket.io",),
    setup_part="npm",
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
    needs=(_NODE_MODULES / "faye",),
    setup_part="npm",
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

_SOKETI_SERVER = _NODE_MODULES / "@soketi/soketi/bin/server.js"

SOKETI = Server(
    name="soketi",
    title="soketi",
    needs=(_SOKETI_SERVER,),
    setup_part="npm",
    version=_of_npm("@soketi/soketi"),
    command=lambda _workspace: ["node", str(_SOKETI_SERVER), "start"],
    environment=lambda workspace: {
        "NODE_ENV": "production",
        "SOKETI_HOST": "127.0.0.1",
        "SOKETI_PORT": str(workspace.port),
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
