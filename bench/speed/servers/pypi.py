"""The peers of PyPI: a few lines of Python around each (peers/)."""

from collections.abc import Callable

from bench.speed import versions
from bench.speed.servers.server import HERE, PEERS, Place, Server

_PYTHON = PEERS / "venv/bin/python"


def _python(script: str) -> Callable[[Place], list[str]]:
    return lambda place: [str(_PYTHON), str(HERE / "speed/peers" / script), str(place.port), str(place.second)]


WEBSOCKETS = Server(
    name="websockets",
    title="websockets broadcast()",
    needs=(_PYTHON,),
    part="pip",
    version=lambda _programs: versions.of_python(_PYTHON, "websockets"),
    command=_python("broadcast.py"),
    second=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-port", "{second}", "--pub-path", "/pub"),
)

AUTOBAHN = Server(
    name="autobahn",
    title="Autobahn and Twisted, plain",
    needs=(_PYTHON,),
    part="pip",
    version=lambda _programs: versions.of_python(_PYTHON, "autobahn", "Twisted"),
    command=_python("plain.py"),
    second=True,
    listen={"websocket": ("--path", "/")},
    publish=("--pub-port", "{second}", "--pub-path", "/pub"),
)
