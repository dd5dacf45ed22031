"""The peers from PyPI: a few lines of Python (in peers/) around each."""

from collections.abc import Callable

from bench.rig.folders import BENCH, PEERS
from bench.speed import versions
from bench.speed.servers.server import Server, Workspace

_PYTHON = PEERS / "venv/bin/python"


def _python(script: str) -> Callable[[Workspace], list[str]]:
    return lambda workspace: [
        str(_PYTHON),
        str(BENCH / "speed/peers" / script),
        str(workspace.port),
        str(workspace.publisher_port),
    ]


WEBSOCKETS = Server(
    name="websockets",
    title="websockets broadcast()",
    needs=(_PYTHON,),
    setup_part="pip",
    version=lambda _programs: versions.of_python(_PYTHON, "websockets"),
    command=_python("broadcast.py"),
    has_publisher_port=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-port", "{publisher_port}", "--pub-path", "/pub"),
)

AUTOBAHN = Server(
    name="autobahn",
    title="Autobahn and Twisted, plain",
    needs=(_PYTHON,),
    setup_part="pip",
    version=lambda _programs: versions.of_python(_PYTHON, "autobahn", "Twisted"),
    command=_python("plain.py"),
    has_publisher_port=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-port", "{publisher_port}", "--pub-path", "/pub"),
)
