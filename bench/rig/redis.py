"""Redis servers and Sentinels on ports of their own, and the few commands that are sent to them."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.rig import wire
from bench.rig.ports import free_port
from bench.rig.processes import STARTS_WITHIN, NotReady, Process, wait_until
from bench.rig.server_process import running_server

PROGRAM = "redis-server"
_SENTINEL = """\
port {port}
bind 127.0.0.1
sentinel monitor {name} 127.0.0.1 {primary} {quorum}
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 6000
sentinel parallel-syncs {name} 1
"""

Reply = str | int | None | list["Reply"]


class RedisError(Exception):
    """An error reply of Redis."""


async def command(port: int, *words: str | int, within: float = 5.0) -> Reply:
    """Send one command on a connection of its own. Raises RedisError, OSError (TimeoutError included) or EOFError."""
    (reply,) = await pipeline(port, [words], within)
    return reply


async def pipeline(port: int, commands: Sequence[Sequence[str | int]], within: float = 5.0) -> list[Reply]:
    """Send commands at once on a connection of their own. Raises RedisError for the first that fails; see `command`."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"".join(map(_encoded, commands)))
            return [await _read_reply(reader) for _command in commands]
        finally:
            wire.close(writer)


def _encoded(words: Sequence[str | int]) -> bytes:
    encoded = [str(word).encode() for word in words]
    return b"*%d\r\n%b" % (len(encoded), b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded))


async def _read_reply(reader: asyncio.StreamReader) -> Reply:
    line = (await reader.readuntil(b"\r\n"))[:-2].decode()
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise RedisError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else (await reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
    if kind == "*":
        return [await _read_reply(reader) for _ in range(int(rest))]
    return rest


async def info(port: int, section: str) -> dict[str, str]:
    """Return one section of INFO."""
    lines = str(await command(port, "INFO", section)).splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def info_now(port: int, section: str) -> dict[str, str]:
    """Return one section of INFO. Blocks until it is there."""
    return asyncio.run(info(port, section))


def command_now(port: int, *words: str | int) -> Reply:
    """Send one command. Blocks until its reply is there."""
    return asyncio.run(command(port, *words))


@contextmanager
def running_redis(folder: Path) -> Iterator[int]:
    """Run a Redis without persistence during the block. Yields its port."""
    port = free_port()
    (data := folder / "redis").mkdir()
    command = [_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(data)]
    with running_server(command, {}, data, (port,)):
        yield port


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise NotReady(f"{PROGRAM} is missing: on Debian, apt-get install redis-server")
    return program


class Redis(Process):
    """A redis-server with an append-only file. It listens on the loopback and on the addresses in `bind`.

    `more`: further options, such as {"--appendfsync": "always"}.
    """

    def __init__(
        self, name: str, folder: Path, bind: tuple[str, ...] = (), more: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.data = folder / name
        self.data.mkdir()
        options = {
            "--port": str(self.port),
            "--bind": " ".join(("127.0.0.1", *bind)),
            "--protected-mode": "no",
            "--dir": str(self.data),
            "--appendonly": "yes",
            "--save": "",
            "--repl-diskless-sync-delay": "0",
            "--repl-ping-replica-period": "1",
            **(more or {}),
        }
        super().__init__(name, folder, [_program(), *(word for pair in options.items() for word in pair)], {})

    async def start(self, replica_of: int = 0) -> None:
        """Start Redis and wait until it answers. With `replica_of`, make it a replica of the Redis on that port."""
        await self.launch_and_wait(self.answers)
        if replica_of:
            await command(self.port, "REPLICAOF", "127.0.0.1", replica_of)
            await wait_until(self.follows, STARTS_WITHIN, f"{self.name} has all data of its primary")

    async def answers(self) -> bool:
        """True if Redis answers, with all its data loaded."""
        try:
            return await command(self.port, "PING") == "PONG"
        except (OSError, EOFError, RedisError):
            return False

    async def wait_for_disk(self) -> None:
        """Wait until Redis puts off no write to its append-only file. Raises NotReady.

        With `appendfsync everysec` it puts off writes for up to two seconds while the disk is slow. Those would be lost
        with the process, and a gap would be told rightly.
        """
        await wait_until(self._puts_nothing_off, 10, f"{self.name} has written all its data")

    async def _puts_nothing_off(self) -> bool:
        persistence = await info(self.port, "persistence")
        return persistence["aof_pending_bio_fsync"] == persistence["aof_buffer_length"] == "0"

    async def follows(self) -> bool:
        """True if Redis is a replica that is connected to its primary."""
        try:
            found = await info(self.port, "replication")
        except (OSError, EOFError, RedisError):
            return False
        return found.get("role") == "slave" and found.get("master_link_status") == "up"


class Sentinel(Process):
    """One Sentinel of several, of which `quorum` must agree that the primary is down."""

    def __init__(self, name: str, folder: Path, service: str, primary: int, quorum: int) -> None:
        self.port = free_port()
        self.service = service
        config = folder / f"{name}.conf"
        config.write_text(_SENTINEL.format(port=self.port, name=service, primary=primary, quorum=quorum))
        super().__init__(name, folder, [str(shutil.which(PROGRAM)), str(config), "--sentinel"], {})

    async def start(self) -> None:
        """Start the Sentinel, and wait until it knows a replica that could be promoted."""
        await self.launch_and_wait(self._knows_a_replica)

    async def primary(self) -> int:
        """Return the port of the primary, as this Sentinel sees it."""
        answer = await command(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        assert isinstance(answer, list)
        return int(str(answer[1]))

    async def is_calm(self, sentinels: int) -> bool:
        """True if it knows so many Sentinels, itself included, and the primary is neither down nor being replaced."""
        answer = await command(self.port, "SENTINEL", "MASTER", self.service)
        assert isinstance(answer, list)
        known = dict(zip(map(str, answer[::2]), map(str, answer[1::2]), strict=True))
        return known["flags"] == "master" and int(known["num-other-sentinels"]) == sentinels - 1

    async def failover(self) -> None:
        """Ask for a promotion of the replica. Raises RedisError if this Sentinel refuses."""
        await command(self.port, "SENTINEL", "FAILOVER", self.service)

    async def _knows_a_replica(self) -> bool:
        try:
            replicas = await command(self.port, "SENTINEL", "REPLICAS", self.service)
        except (OSError, EOFError, RedisError):
            return False
        return bool(replicas) and "slave" in str(replicas) and "disconnected" not in str(replicas)
