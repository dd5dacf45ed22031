"""The floor: C with one send() for each listener and push. It keeps and checks nothing."""

from bench.rig.folders import BUILD
from bench.speed import versions
from bench.speed.servers.server import Server

PROGRAM = BUILD / "rawfan"

FLOOR = Server(
    name="rawfan",
    title="C floor (rawfan)",
    version=lambda _programs: versions.first_line("gcc", "--version"),
    command=lambda workspace: [str(PROGRAM), str(workspace.port)],
    # It speaks WebSocket only. It is the floor of streams and events too, because a send() costs the same there.
    listen=dict.fromkeys(("websocket", "stream", "events"), ("--path", "/")),
    publish=("--pub-path", "/pub"),
)
