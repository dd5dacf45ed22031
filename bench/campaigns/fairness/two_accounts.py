"""A server with two accounts, of which one floods and the other is timed."""

import tempfile
from pathlib import Path

from bench.campaigns.fairness.flood import Flood, flooding
from bench.campaigns.fairness.neighbours import Neighbour, Sample, measure
from bench.rig.account import SECRET
from bench.rig.ports import free_port
from bench.rig.server_process import running_server

PAUSE = 0.02
"""Seconds between two pushes that are timed."""
_CONFIG = """\
http = ["tcp:{port}:interface=127.0.0.1"]
websocket = []
admin = "tcp:0:interface=127.0.0.1"
[[account]]
api_key = "quiet"
api_secret = "{secret}"
[[account]]
api_key = "flood"
api_secret = "{secret}"
listeners_per_ip = 100000
"""


def samples_under(
    flood: Flood | None, twistd: list[str], pushes: int, environment: dict[str, str] | None = None
) -> list[Sample]:
    """Time so many pushes of the quiet account, while the other one floods. None: it does nothing."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fairness-") as folder:
        (Path(folder) / "cometify.toml").write_text(_CONFIG.format(port=port, secret=SECRET))
        command = [*twistd, "-n", "--pidfile=", "cometify"]
        with running_server(command, environment or {}, Path(folder), (port,)) as pid:
            quiet = Neighbour(port, "quiet")
            if flood is None:
                return measure(quiet, pid, pushes, PAUSE)
            with flooding(Neighbour(port, "flood"), flood):
                return measure(quiet, pid, pushes, PAUSE)


def percentile(values: list[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
