"""The floor: C, one send() for each listener and push, nothing kept or checked."""

from bench.speed import versions
from bench.speed.servers.server import BUILD, Server

FLOOR = Server(
    name="rawfan",
    title="C floor (rawfan)",
    version=lambda _programs: versions.first_line("gcc", "--version"),
    command=lambda place: [str(BUILD / "rawfan"), str(place.port)],
    # It speaks WebSocket only; a send() is a send(), so it is the floor of streams and events as well.
    listen=dict.fromkeys(("websocket", "stream", "events"), ("--path", "/")),
    publish=("--pub-path", "/pub"),
)
