"""The load generator (wsload.c): built, and run against a server that is started for that measurement alone."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.rig.ports import free_ports
from bench.rig.server_process import NotStarted, running
from bench.speed.servers.server import BUILD, HERE, Certificate, Place, Server
from bench.speed.workloads import Work

RUNS_AT_MOST = 90
"""Seconds."""
_LIMITS = ("--connect-timeout", "60", "--max-run", "75", "--drain", "2000")


@dataclass(frozen=True)
class Measurement:
    """One run: what the generator answered, or why there is no answer."""

    server: str
    work: str
    round: int
    load_average: float
    answer: dict[str, Any] = field(default_factory=dict)
    failure: str = ""

    @property
    def others(self) -> float:
        """CPU that neither the server nor the generator took meanwhile, in percent of one core; the kernel's in it."""
        whole = float(self.answer["machine_busy_pct"]) * (os.cpu_count() or 1)
        return max(0.0, whole - float(self.answer["server_cpu_pct"]) - float(self.answer["client_cpu_pct"]))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _run(command: list[str]) -> str:
    """Run a program that makes something; what it complains of, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or f"ended with {done.returncode}") if done.returncode else ""


def _compile(program: str, source: str, *options: str) -> str:
    """Compile a C file where it is newer than the program; what is wrong, or nothing."""
    target, file = BUILD / program, HERE / source
    if target.exists() and target.stat().st_mtime >= file.stat().st_mtime:
        return ""
    return _run(["gcc", "-O2", "-Wall", "-Wno-unused-parameter", "-o", str(target), str(file), *options])


def build() -> None:
    """Compile the generator and the floor. Raises SystemExit with what is missing."""
    BUILD.mkdir(exist_ok=True)
    wrong = _compile("wsload", "rig/wsload.c", "-lm") or _compile("rawfan", "speed/rawfan.c")
    if wrong:
        raise SystemExit(f"the generator cannot be built, bench/setup tools installs gcc: {wrong.splitlines()[0]}")


def certificate() -> Certificate | None:
    """Build the generator with TLS and make a certificate; None where OpenSSL, or its headers, are missing."""
    made = Certificate(BUILD / "cert.pem", BUILD / "key.pem")
    if _compile("wsload-tls", "rig/wsload.c", "-DTLS", "-lm", "-lssl", "-lcrypto"):
        return None
    if made.cert.exists():
        return made
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(made.key)]
    subject = ["-subj", "/CN=localhost", "-days", "3650", "-out", str(made.cert)]
    return None if _run(["openssl", "req", "-x509", *key, *subject]) else made


def _program(arguments: list[str]) -> list[str]:
    return [str(BUILD / ("wsload-tls" if "--tls" in arguments else "wsload")), *arguments, *_LIMITS]


def _answer(output: str, errors: str, code: int) -> tuple[dict[str, Any], str]:
    """The answer and what was said; the generator ends with 1 where something was lost, and answers all the same."""
    said = " | ".join(errors.strip().splitlines()[-3:])
    return (json.loads(output), said) if output else ({}, said or f"ended with {code}")


def _generate(arguments: list[str]) -> tuple[dict[str, Any], str]:
    try:
        done = subprocess.run(  # noqa: S603 - our own
            _program(arguments), capture_output=True, text=True, timeout=RUNS_AT_MOST, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"not done after {RUNS_AT_MOST} seconds"
    return _answer(done.stdout, done.stderr, done.returncode)


@contextmanager
def _meanwhile(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """A second generator, which publishes during the block; afterwards the dictionary has its answer."""
    answer: dict[str, Any] = {}
    beside = subprocess.Popen(  # noqa: S603 - our own
        _program(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert beside.stderr is not None
        beside.stderr.readline()  # it tells when it begins, or why it does not
        yield answer
        beside.send_signal(signal.SIGTERM)
        output, errors = beside.communicate(timeout=10)
        answer.update(_answer(output, errors, beside.returncode)[0])
    finally:
        beside.kill()
        beside.communicate()


def _keep(server: Server, work: Work, place: Place) -> str:
    """Publish what is to be kept before the listeners come; what went wrong, or nothing."""
    publisher = server.publisher_arguments(place, "bench")
    return _generate([*publisher, "-n", "0", "-m", str(work.kept), "-r", "0", "-s", "100"])[1]


def _against(server: Server, work: Work, place: Place, pid: int, quick: bool) -> tuple[dict[str, Any], str]:
    cursor = server.cursor(place) if work.way == "rejoin" else ""
    wrong = _keep(server, work, place) if work.kept else ""
    if wrong:
        return {}, wrong
    listeners = server.listener_arguments(work.way, place, work.identifier, cursor)
    publisher = server.publisher_arguments(place, work.identifier)
    measured = ["--pid", str(pid), *publisher, *listeners, *work.arguments(quick)]
    if work.meanwhile is None:
        return _generate(measured)
    others = server.listener_arguments("websocket", place, "other") if work.meanwhile.listeners else []
    with _meanwhile([*server.publisher_arguments(place, "other"), *others, *work.meanwhile.arguments(quick)]) as beside:
        answer, said = _generate(measured)
    return ({**answer, "meanwhile": beside}, said) if answer and beside else ({}, said or "the load beside it ended")


def left_out(server: Server, work: Work, number: int, why: str) -> Measurement:
    """Not measured."""
    return Measurement(server.name, work.name, number, os.getloadavg()[0], {}, f"left out: {why}")


def measure(
    server: Server, work: Work, number: int, programs: Path, quick: bool, certified: Certificate | None
) -> Measurement:
    """Start the server, give it the work, and end it."""
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        first, second, third = free_ports(3)
        place = Place(Path(folder), first, second, third, programs, certified if work.way == "tls" else None)
        try:
            with running(server.command(place), server.environment(place), place.folder, server.ports(place)) as pid:
                answer, said = _against(server, work, place, pid, quick)
        except NotStarted as reason:
            answer, said = {}, f"not started: {reason}"
    return Measurement(server.name, work.name, number, load_average, answer, "" if answer else said)
