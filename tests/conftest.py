"""Real servers on ports of their own, started as users start them."""

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import cometify
import tests.hypothesis_profiles  # noqa: F401 - the same examples for every test, alone and with others
from bench.rig.ports import free_ports
from tests.fork_server import ForkedProcess, ForkServer
from tests.redis import Redis
from tests.wire import API_KEY, API_SECRET, Client

PLAIN_TWISTD = [str(Path(sys.executable).parent / "twistd")]
TWISTD = PLAIN_TWISTD
if "COVERAGE_RUN" in os.environ or "COVERAGE_PROCESS_CONFIG" in os.environ:
    # twistd ends by the signal that ended it, which leaves coverage no time to write.
    TWISTD = [sys.executable, "-m", "tests.covered_twistd"]
# The servers run the package that the tests import: the source or the installed wheel.
PYTHONPATH = os.pathsep.join([str(Path(cometify.__file__).parent.parent), str(Path(__file__).parent.parent)])


# A shell that starts the tests in the background ignores SIGINT, and the servers would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "32768", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""The allocator gives free memory back, so that the memory of a process is the memory that the server holds."""

UNTRACED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""With `PLAIN_TWISTD`, for tests of time: coverage does not measure the server, which would take twice as long."""

LONGEST = (
    "contract/test_balancers.py",
    "contract/test_workers.py",
    "faults/test_faults.py",
    "attacks/test_attacks.py",
    "contract/test_handover.py",
    "command/test_doctor.py",
    "runtime/test_twisted_suites.py",
    "command/relay/test_sending.py",
    "command/test_listen.py",
    "command/test_bench.py",
    "client/test_networks.py",
    "integrations/test_django_outbox.py",
    "contract/test_hidden_pushes.py",
    "contract/test_servers.py",
    "sdk/test_failures.py",
    "site/test_calls_of_blocks.py",
    "command/relay/test_kills.py",
    "command/test_canary.py",
    "runtime/test_gc_pauses.py",
    "app/test_renewed_certificates.py",
    "bench/campaigns/test_planted_faults.py",
    "browser/test_page_load.py",
    "browser/test_versions.py",
    "browser/test_networks.py",
    "browser/test_page.py",
    "browser/test_seed.py",
)
"""The files that take longest, the longest first. One of them that begins last would run alone while all else has ended."""

START_WITHIN = 60.0
"""Seconds after which a start of processes counts as failed. Not a promise, because a busy machine takes longer."""


@cache
def fork_server() -> ForkServer:
    """The process that the servers and commands of these tests are forked from."""
    return ForkServer({**os.environ, "PYTHONPATH": PYTHONPATH, **FRUGAL})


# Each process of a run collects thousands of tests, and the collector would look at all of them again and again.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files first that take longest."""
    here = Path(__file__).parent
    ranks = {here / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))


class Server(Client):
    """A `twistd cometify` process.

    `twistd`: the command that starts it. `service`: the service for twistd. `python_path`: the folders of its packages.
    `is_forked`: True if it is a fork of a process with its modules, False if it starts as users start it. See `fork_server`.
    """

    twistd = TWISTD
    is_forked = TWISTD is PLAIN_TWISTD  # coverage begins when a process starts
    inherits: tuple[int, ...] = ()
    """Descriptors that the process gets."""
    service = ("cometify",)
    python_path = PYTHONPATH

    def __init__(self, folder: Path, options: dict[str, Any], account: dict[str, Any]) -> None:
        super().__init__(*free_ports(3))
        self.folder = folder
        self.options = options
        self.account = {"api_key": API_KEY, "api_secret": API_SECRET, "listeners_per_ip": 1000, **account}
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self.log = folder / "log"

    def write_config(self) -> None:
        table: dict[str, Any] = {
            "http": [f"tcp:{self.port}:interface=127.0.0.1"],
            "websocket": [f"tcp:{self.websocket_port}:interface=127.0.0.1"],
            "admin": f"tcp:{self.admin_port}:interface=127.0.0.1",
            "connections_per_ip": 0,  # all peers of a test have one address
            **self.options,
        }
        lines = [f"{name} = {_toml(value)}" for name, value in table.items() if value is not None]
        lines += ["[[account]]", *(f"{name} = {_toml(value)}" for name, value in self.account.items())]
        (self.folder / "cometify.toml").write_text("\n".join(lines) + "\n")

    def begin(self) -> "Server":
        """Start the process."""
        self.write_config()
        command = [*self.twistd, "-n", "--pidfile=", *self.service]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": self.python_path, **FRUGAL}
        with self.log.open("ab") as log:
            if self.is_forked and self.twistd is TWISTD and not self.inherits and fork_server().suits(environment):
                self.process = fork_server().start(
                    command, self.folder, environment, stdin=0, stdout=log.fileno(), stderr=log.fileno()
                )
            else:
                self.process = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=self.inherits,
                    env=environment,
                )
        return self

    def start(self) -> "Server":
        """Start the process, and wait until the server is ready."""
        self.begin()
        assert self.process is not None
        until = time.monotonic() + START_WITHIN
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError):
                if self.request("GET", "/health/ready", port=self.admin_port).status == 200:
                    return self
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the process; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        self.process = None
        return code

    def memory(self) -> int:
        """Bytes of the process's own memory (PSS)."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise AssertionError


def _toml(value: Any) -> str:
    import json

    return json.dumps(value)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One Redis for all tests of a file."""
    redis = Redis(tmp_path_factory.mktemp("redis")).start()
    yield redis
    redis.stop()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers: make_server(account={...}, heartbeat=1, ...). No traceback may stand in their logs at the end.

    `waits=False`: return before the server is ready. `is_forked=False`: see `Server`.
    """
    servers: list[Server] = []

    def make(
        account: dict[str, Any] | None = None, *, waits: bool = True, is_forked: bool = Server.is_forked, **options: Any
    ) -> Server:
        folder = tmp_path / f"server{len(servers)}"
        folder.mkdir()
        servers.append(Server(folder, options, account or {}))
        servers[-1].is_forked = is_forked
        return servers[-1].start() if waits else servers[-1].begin()

    yield make
    for server in servers:
        if server.process is not None:
            server.stop()
    for server in servers:
        assert_clean(server.log.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a file, which use identifiers of their own."""
    server = Server(tmp_path_factory.mktemp("server"), {}, {}).start()
    yield server
    assert server.stop() == -signal.SIGTERM  # twistd ends by the signal that it was told to end by, after all is done
    assert_clean(server.log.read_text())


def assert_clean(log: str) -> None:
    """Nothing went wrong unseen, and nothing is written that must not be."""
    assert "Traceback" not in log, log
    assert API_SECRET not in log
