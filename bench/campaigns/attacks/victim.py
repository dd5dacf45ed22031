"""The server that is attacked: its process, and the CPU time, memory and longest turn that an attack costs it."""

import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.campaigns.attacks import good_client
from bench.rig.account import KEY, SECRET
from bench.rig.ports import free_ports
from bench.rig.redis import running_redis
from bench.rig.server_process import running_server

_SCRIPT = Path(__file__).with_name("turn_clock_server.py")
_CONFIG = """\
http = ["tcp:{port}:interface=127.0.0.1", "ssl:{tls}:interface=127.0.0.1:privateKey={key_file}:certKey={certificate}"]
websocket = []
admin = "tcp:{admin}:interface=127.0.0.1"
drain = 1
{settings}
[[account]]
api_key = "{key}"
api_secret = "{secret}"
{account_lines}
[[account]]
api_key = "{good_key}"
api_secret = "{good_secret}"
"""
_PEAK_FROM_NOW = "5"
"""Written to /proc/PID/clear_refs, it sets the peak of the resident memory back to its present value. See proc(5)."""


@dataclass(frozen=True)
class Victim:
    """A running server. `log` is the file of its output."""

    pid: int
    ports: dict[str, int]
    log: Path
    turn: Path

    def begin(self) -> None:
        """Forget the peak of the memory and the longest turn until now."""
        Path(f"/proc/{self.pid}/clear_refs").write_text(_PEAK_FROM_NOW)
        # In place, because the server has the file in its memory: to truncate it would end the server with SIGBUS.
        with self.turn.open("r+b") as opened:
            opened.write(struct.pack("<d", 0))

    def cpu_seconds(self) -> float:
        """CPU time since the start of the server."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident memory, in bytes."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """The highest resident memory since `begin`, in bytes."""
        return self._status("VmHWM")

    def longest_turn(self) -> float:
        """CPU time of the longest turn since `begin`, in seconds."""
        longest: float = struct.unpack("<d", self.turn.read_bytes())[0]
        return longest

    def rest(self, seconds: float) -> None:
        """Wait until the server has been idle for a moment, at most so long."""
        until = time.monotonic() + seconds
        spent = -1.0
        while time.monotonic() < until and self.cpu_seconds() - spent > 0.02:
            spent = self.cpu_seconds()
            time.sleep(0.2)

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
        raise LookupError(name)


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    key_file, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=localhost", "-days", "30", "-keyout", str(key_file), "-out", str(certificate)]
    subprocess.run([*command, *subject], check=True, capture_output=True)  # noqa: S603 - the command is written here
    return key_file, certificate


@contextmanager
def running_victim(
    folder: Path,
    twistd: list[str],
    environment: dict[str, str] | None = None,
    *,
    settings: str = "",
    account_lines: str = "",
) -> Iterator[Victim]:
    """Run a server during the block. `twistd` is the command. Raises NotStarted.

    `settings` are added to the server's settings. `account_lines` are added after the first account, as lines of its table
    and as tables of other accounts.
    """
    port, tls, admin = free_ports(3)
    key_file, certificate = _make_certificate(folder)
    config, turn = folder / "cometify.toml", folder / "turn"
    turn.write_bytes(struct.pack("<d", 0))
    config.write_text(
        _CONFIG.format(
            port=port,
            tls=tls,
            admin=admin,
            key_file=key_file,
            certificate=certificate,
            key=KEY,
            secret=SECRET,
            settings=settings,
            account_lines=account_lines,
            good_key=good_client.KEY,
            good_secret=good_client.SECRET,
        )
    )
    variables = {"ATTACKED_CONFIG": str(config), "ATTACKED_TURN": str(turn)}
    command = [*twistd, "-n", "--pidfile=", "-y", str(_SCRIPT)]
    with running_server(command, variables | (environment or {}), folder, (port, tls, admin)) as pid:
        yield Victim(pid, {"http": port, "tls": tls, "admin": admin}, folder / "server.log", turn)


@contextmanager
def running_victim_with_redis(
    folder: Path, twistd: list[str], environment: dict[str, str] | None = None
) -> Iterator[Victim]:
    """Run a server and its Redis during the block. Raises NotStarted, NotReady."""
    with running_redis(folder) as redis:
        settings = f'redis = "redis://127.0.0.1:{redis}/0"\n'
        with running_victim(folder, twistd, environment, settings=settings) as victim:
            yield victim
