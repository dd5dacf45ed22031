"""A whole server whose Redis has a name that the name servers do not answer for."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Server, assert_clean
from tests.redis import Redis
from tests.wire import eventually


class SlowNames:
    """`environment`: for a process that looks up slow.example, which takes 25 s until `work` is called."""

    def __init__(self, folder: Path) -> None:
        library, self._file = folder / "slow_names.so", folder / "names-work"
        source = Path(__file__).parents[1] / "slow_names.c"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "NAMES_WORK": str(self._file)}

    def work(self) -> None:
        self._file.touch()

    def hang(self) -> None:
        self._file.unlink()


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowNames:
    names = SlowNames(tmp_path)
    for key, value in names.environment.items():
        monkeypatch.setenv(key, value)
    return names


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def server(request: Any, names: SlowNames, redis: Redis, tmp_path: Path) -> Iterator[Server]:
    server = Server(
        tmp_path, {"redis": f"redis://slow.example:{redis.port}/0", "drain": 2, "workers": request.param}, {}
    )
    names.work()
    server.start()
    names.hang()
    yield server
    if server.process is not None:
        server.stop(signal.SIGKILL)
    assert_clean(server.log.read_text())


def is_ready(server: Server) -> bool:
    return server.request("GET", "/health/ready", port=server.admin_port).status == 200


def lose_redis(server: Server, redis: Redis) -> None:
    """Cut the connections of the server to Redis, which looks the name up again."""
    redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    eventually(lambda: not is_ready(server))


def test_lookup_that_hangs_does_not_delay_the_end(server, redis):
    lose_redis(server, redis)
    time.sleep(2)  # so that several lookups hang
    began = time.monotonic()
    assert server.stop() == -signal.SIGTERM
    assert time.monotonic() - began < 2 + 2


def test_node_is_back_soon_after_its_name_servers(server, redis, names):
    lose_redis(server, redis)
    time.sleep(4)
    assert not is_ready(server)
    began = time.monotonic()
    names.work()
    eventually(lambda: is_ready(server))
    assert time.monotonic() - began < 1.5 + 2 + 1
    assert "No name server has answered for slow.example within 1.5 seconds" in server.log.read_text()
