"""One measurement: a server is started for it alone, given a workload by the load generator, and ended."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.rig import load_generator
from bench.rig.folders import BUILD
from bench.rig.ports import free_ports
from bench.rig.server_process import NotStarted, running_server
from bench.speed.servers.floor import PROGRAM as RAWFAN
from bench.speed.servers.server import Certificate, Server, Workspace
from bench.speed.workloads import Workload

TIMEOUT = 90
"""Seconds after which a measurement counts as failed."""
_LIMITS = ("--connect-timeout", "60", "--max-run", "75", "--drain", "2000")


@dataclass(frozen=True)
class Measurement:
    """One run: the generator's answer, or the reason why there is none. `work`: the workload's name."""

    server: str
    work: str
    round: int
    load_average: float
    answer: dict[str, Any] = field(default_factory=dict)
    failure: str = ""

    @property
    def others(self) -> float:
        """CPU that neither the server nor the generator took, in percent of one core. Includes the kernel's own."""
        whole = float(self.answer["machine_busy_pct"]) * (os.cpu_count() or 1)
        return max(0.0, whole - float(self.answer["server_cpu_pct"]) - float(self.answer["client_cpu_pct"]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def build() -> None:
    """Compile the generator and the floor. Raises SystemExit with what is missing."""
    load_generator.build()
    wrong = load_generator.compile_c(RAWFAN, "speed/rawfan.c")
    if wrong:
        raise SystemExit(f"rawfan cannot be built: {wrong.splitlines()[0]}")


def make_certificate() -> Certificate | None:
    """Build the generator with TLS and make a certificate. Returns None if OpenSSL or its headers are missing."""
    certificate = Certificate(BUILD / "cert.pem", BUILD / "key.pem")
    if not load_generator.build_with_tls():
        return None
    if certificate.cert.exists():
        return certificate
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(certificate.key)]
    subject = ["-subj", "/CN=localhost", "-days", "3650", "-out", str(certificate.cert)]
    return None if load_generator.run_tool(["openssl", "req", "-x509", *key, *subject]) else certificate


def _command(arguments: list[str]) -> list[str]:
    return [load_generator.program_for(arguments), *arguments, *_LIMITS]


def _generate(arguments: list[str]) -> tuple[dict[str, Any], str]:
    try:
        done = subprocess.run(  # noqa: S603 - commands are ours
            _command(arguments), capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"not done after {TIMEOUT} seconds"
    return load_generator.read_answer(done.stdout, done.stderr, done.returncode)


@contextmanager
def _background_load(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Run a second generator during the block. The dictionary has its answer afterwards."""
    answer: dict[str, Any] = {}
    second = subprocess.Popen(  # noqa: S603 - commands are ours
        _command(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert second.stderr is not None
        # The generator writes a line when it begins to publish, or when it cannot begin.
        second.stderr.readline()
        yield answer
        second.send_signal(signal.SIGTERM)
        output, errors = second.communicate(timeout=10)
        answer.update(load_generator.read_answer(output, errors, second.returncode)[0])
    finally:
        second.kill()
        second.communicate()


def _publish_kept(server: Server, workload: Workload, workspace: Workspace) -> str:
    """Publish the pushes that must be kept before the listeners come. Returns the complaint, or an empty string."""
    publisher = server.publisher_arguments(workspace, "bench")
    return _generate([*publisher, "-n", "0", "-m", str(workload.kept), "-r", "0", "-s", "100"])[1]


def _measure_running(
    server: Server, workload: Workload, workspace: Workspace, pid: int, quick: bool
) -> tuple[dict[str, Any], str]:
    cursor = server.cursor(workspace) if workload.transport == "rejoin" else ""
    wrong = _publish_kept(server, workload, workspace) if workload.kept else ""
    if wrong:
        return {}, wrong
    listeners = server.listener_arguments(workload.transport, workspace, workload.identifier, cursor)
    publisher = server.publisher_arguments(workspace, workload.identifier)
    measured = ["--pid", str(pid), *publisher, *listeners, *workload.arguments(quick)]
    background = workload.background
    if background is None:
        return _generate(measured)
    others = server.listener_arguments("websocket", workspace, "other") if background.listeners else []
    arguments = [*server.publisher_arguments(workspace, "other"), *others, *background.arguments(quick)]
    with _background_load(arguments) as second:
        answer, said = _generate(measured)
    if answer and second:
        return {**answer, "meanwhile": second}, said
    return {}, said or "the load in the background ended"


def left_out(server: Server, workload: Workload, number: int, why: str) -> Measurement:
    """A measurement that was not made, with the reason."""
    return Measurement(server.name, workload.name, number, os.getloadavg()[0], {}, f"left out: {why}")


def measure(
    server: Server, workload: Workload, number: int, programs: Path, quick: bool, certificate: Certificate | None
) -> Measurement:
    """Start the server, give it the workload, and end it. A failure is part of the result and is not raised."""
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        first, second, third, admin = free_ports(4)
        used = certificate if workload.transport == "tls" else None
        workspace = Workspace(Path(folder), first, second, third, programs, used, admin)
        command, environment = server.command(workspace), server.environment(workspace)
        try:
            ports = server.ports(workspace)
            with running_server(command, environment, workspace.folder, ports) as pid, server.beside(workspace):
                answer, said = _measure_running(server, workload, workspace, pid, quick)
        except NotStarted as reason:
            answer, said = {}, f"not started: {reason}"
    return Measurement(server.name, workload.name, number, load_average, answer, "" if answer else said)
