"""The load generator (wsload.c): built, and run once against a server that is started for that run alone."""

import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.process import NotStarted, free_ports, running
from bench.servers import BUILD, HERE, Place, Server
from bench.works import Work

RUNS_AT_MOST = 90
_LIMITS = ("--connect-timeout", "30", "--max-run", "30", "--drain", "2000")


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


def build() -> None:
    """Compile the generator and the floor, where their source is newer."""
    BUILD.mkdir(exist_ok=True)
    for name in ("wsload", "rawfan"):
        source, program = HERE / f"{name}.c", BUILD / name
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            command = ["gcc", "-O2", "-Wall", "-o", str(program), str(source), "-lm"]
            subprocess.run(command, check=True)  # noqa: S603 - our own


def _generate(arguments: list[str]) -> tuple[dict[str, Any], str]:
    """The generator's answer and what it said; it ends with 1 where something was lost, and answers all the same."""
    try:
        done = subprocess.run(  # noqa: S603 - our own
            [str(BUILD / "wsload"), *arguments, *_LIMITS],
            capture_output=True,
            text=True,
            timeout=RUNS_AT_MOST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"not done after {RUNS_AT_MOST} seconds"
    said = " | ".join(done.stderr.strip().splitlines()[-3:])
    return (json.loads(done.stdout), said) if done.stdout else ({}, said or f"ended with {done.returncode}")


def _against(server: Server, work: Work, place: Place, pid: int, quick: bool) -> tuple[dict[str, Any], str]:
    publisher = server.publisher_arguments(place)
    if work.kept:
        before = ["--port", str(place.port), *publisher, "-n", "0", "-m", str(work.kept), "-r", "0", "-s", "100"]
        _, said = _generate(before)
        if said:
            return {}, said
    listeners = server.listener_arguments(work.way, place)
    return _generate(["--pid", str(pid), *listeners, *publisher, *work.arguments(quick)])


def measure(server: Server, work: Work, number: int, programs: Path, quick: bool) -> Measurement:
    """Start the server, give it the work, and end it."""
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        place = Place(Path(folder), *free_ports(), programs)
        try:
            with running(server.command(place), server.environment(place), place.folder, server.ports(place)) as pid:
                answer, said = _against(server, work, place, pid, quick)
        except NotStarted as reason:
            answer, said = {}, f"not started: {reason}"
    return Measurement(server.name, work.name, number, load_average, answer, "" if answer else said)
