"""The processes of the campaign: PostgreSQL, Redis, two nodes, two relays and four writers. Each can be killed."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

from bench.campaigns.outbox.writer import BEGIN
from bench.rig.account import KEY, SECRET
from bench.rig.node import Node
from bench.rig.postgres import command_of, make_cluster, make_folder
from bench.rig.processes import STARTS_WITHIN, Process, wait_until
from bench.rig.redis import Redis
from cometify.client import outbox

ROOT = Path(__file__).resolve().parents[3]
WRITERS = 4
_SAFE = {"fsync": "on", "synchronous_commit": "on"}
"""A commit that is answered must survive the kill of PostgreSQL."""


class Postgres(Process):
    """A PostgreSQL whose processes are killed together."""

    def __init__(self, folder: Path) -> None:
        self.host = make_folder()
        make_cluster(self.host)
        command, self._owner = command_of(self.host, _SAFE)
        super().__init__("postgres", folder, command, {})

    async def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.host,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._owner,
            )

    async def start(self) -> None:
        """Start the server, and wait until it takes connections. Raises NotReady."""
        await self.launch_and_wait(self.answers)

    async def answers(self) -> bool:
        """True if the server takes connections."""
        if not self.is_running:  # the processes that were killed with the last one can still be ending
            await self.launch()
        try:
            connection = await psycopg.AsyncConnection.connect(host=str(self.host), user="postgres")
        except psycopg.Error:
            return False
        await connection.close()
        return True

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server."""
        os.killpg(self.pid, number)


class System:
    """All processes. `python`: of the environment that Cometify is installed in."""

    def __init__(self, folder: Path, python: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._python = str(python)
        self._environment = environment
        self.postgres = Postgres(folder)
        self.redis = Redis("redis", folder, more={"--appendfsync": "always"})
        settings = {"redis": f"redis://127.0.0.1:{self.redis.port}/0"}
        twistd = [str(python.parent / "twistd")]
        self.nodes = [Node(f"node{number}", folder, twistd, settings, environment) for number in range(2)]
        self.relays = [self._relay(number) for number in range(2)]
        self.writers: list[Process] = []

    async def start(self) -> None:
        """Start all but the relays and the writers."""
        await asyncio.gather(self.postgres.start(), self.redis.start())
        await asyncio.gather(*(node.start() for node in self.nodes))
        with psycopg.connect(host=str(self.postgres.host), user="postgres") as db:
            outbox.create_table(db)
            db.execute(BEGIN)

    async def start_writers(self, rows: int, pause: float) -> None:
        """Start writers, each of which commits so many rows in all."""
        self.writers = [
            Process(
                f"writer{number}",
                self._folder,
                # The writers run beside the campaign, because the environment of Cometify need not have psycopg.
                [
                    sys.executable,
                    "-m",
                    "bench.campaigns.outbox.writer",
                    str(self.postgres.host),
                    str(number),
                    str(rows),
                    str(pause),
                ],
                {**self._environment, "PYTHONPATH": str(ROOT)},
            )
            for number in range(WRITERS)
        ]
        for writer in self.writers:
            await writer.launch()

    async def kill(self, victim: Process) -> None:
        """Kill a process, and start it again. Raises NotReady if it does not come back."""
        await victim.end(signal.SIGKILL)
        if isinstance(victim, Postgres | Redis | Node):
            await victim.start()
        else:
            await victim.launch()

    async def end(self) -> None:
        """End all processes."""
        for process in (*self.writers, *self.relays, *self.nodes, self.redis):
            with suppress(ProcessLookupError):
                await process.end(signal.SIGKILL)
        await self.postgres.end(signal.SIGKILL)
        shutil.rmtree(self.postgres.host, ignore_errors=True)

    async def wait_for_empty_outbox(self, seconds: float = STARTS_WITHIN) -> None:
        """Wait until no row waits. Raises NotReady."""
        await wait_until(self._is_empty, seconds, "the outbox is empty")

    async def _is_empty(self) -> bool:
        with suppress(psycopg.Error):
            return self.query("SELECT count(*) FROM cometify_outbox WHERE dead_at IS NULL") == [(0,)]
        return False

    def query(self, statement: str) -> list[tuple[int, ...]]:
        """Run a statement and return its rows."""
        with psycopg.connect(host=str(self.postgres.host), user="postgres") as db:
            return db.execute(statement.encode()).fetchall()

    def _relay(self, number: int) -> Process:
        host, port = self.nodes[0].address
        url = f"http://{KEY}:{SECRET}@{host}:{port}"
        database = f"postgresql://postgres@/postgres?host={self.postgres.host}"
        command = [self._python, "-m", "cometify", "relay", database]
        return Process(f"relay{number}", self._folder, command, {**self._environment, "COMETIFY_URL": url})


def temporary_folder() -> "tempfile.TemporaryDirectory[str]":
    """Make a folder with a short name, because the path of a socket has 107 bytes at most."""
    return tempfile.TemporaryDirectory(prefix="outbox-")
