"""Redis servers and Sentinels on ports of their own, and a few words with them."""

import asyncio
import shutil
from pathlib import Path

from bench.rig import wire
from bench.rig.ports import free_port
from bench.rig.processes import STARTS_WITHIN, NotReady, Process, until

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
    """What Redis answered instead."""


async def ask(port: int, *words: str | int, within: float = 5.0) -> Reply:
    """One command on a connection of its own. Raises RedisError, OSError, EOFError."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            encoded = [str(word).encode() for word in words]
            parts = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
            writer.write(b"*%d\r\n%b" % (len(encoded), parts))
            return await _reply(reader)
        finally:
            wire.close(writer)


async def _reply(reader: asyncio.StreamReader) -> Reply:
    line = (await reader.readuntil(b"\r\n"))[:-2].decode()
    kind, rest = line[0], line[1:]
    if kind == "-":
        raise RedisError(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else (await reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
    if kind == "*":
        return [await _reply(reader) for _ in range(int(rest))]
    return rest


async def info(port: int, section: str) -> dict[str, str]:
    """One section of INFO."""
    lines = str(await ask(port, "INFO", section)).splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


class Redis(Process):
    """A redis-server that writes everything to its append-only file. `bind`: addresses beside the loopback's."""

    def __init__(self, name: str, folder: Path, bind: tuple[str, ...] = ()) -> None:
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
        }
        program = shutil.which(PROGRAM)
        if program is None:
            raise NotReady(f"{PROGRAM} is missing: on Debian, apt-get install redis-server")
        super().__init__(name, folder, [program, *(word for pair in options.items() for word in pair)], {})

    async def start(self, replica_of: int = 0) -> None:
        """Start it, and wait until it answers; it begins as the replica of the Redis on that port."""
        await self.launched(self.answers)
        if replica_of:
            await ask(self.port, "REPLICAOF", "127.0.0.1", replica_of)
            await until(self.follows, STARTS_WITHIN, f"{self.name} has what its primary has")

    async def answers(self) -> bool:
        """Whether it is there, with all that it had."""
        try:
            return await ask(self.port, "PING") == "PONG"
        except (OSError, EOFError, RedisError):
            return False

    async def has_written(self) -> None:
        """Wait until it puts off no writes, as it does for up to two seconds while the disk is slow (appendfsync
        everysec): those would be lost with it, and a gap told rightly.
        """
        await until(self._puts_nothing_off, 10, f"{self.name} has written all that it has")

    async def _puts_nothing_off(self) -> bool:
        persistence = await info(self.port, "persistence")
        return persistence["aof_pending_bio_fsync"] == persistence["aof_buffer_length"] == "0"

    async def follows(self) -> bool:
        """Whether it is a replica in touch with its primary."""
        try:
            found = await info(self.port, "replication")
        except (OSError, EOFError, RedisError):
            return False
        return found.get("role") == "slave" and found.get("master_link_status") == "up"


class Sentinel(Process):
    """One Sentinel of several, of which `quorum` must agree."""

    def __init__(self, name: str, folder: Path, service: str, primary: int, quorum: int) -> None:
        self.port = free_port()
        self.service = service
        config = folder / f"{name}.conf"
        config.write_text(_SENTINEL.format(port=self.port, name=service, primary=primary, quorum=quorum))
        super().__init__(name, folder, [str(shutil.which(PROGRAM)), str(config), "--sentinel"], {})

    async def start(self) -> None:
        """Start it, and wait until it knows a replica that could be promoted."""
        await self.launched(self._knows)

    async def primary(self) -> int:
        """The port of the primary, as it sees it."""
        answer = await ask(self.port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)
        assert isinstance(answer, list)
        return int(str(answer[1]))

    async def is_calm(self, sentinels: int) -> bool:
        """Whether it knows so many Sentinels, itself included, and sees nothing that is down or being changed."""
        answer = await ask(self.port, "SENTINEL", "MASTER", self.service)
        assert isinstance(answer, list)
        known = dict(zip(map(str, answer[::2]), map(str, answer[1::2]), strict=True))
        return known["flags"] == "master" and int(known["num-other-sentinels"]) == sentinels - 1

    async def failover(self) -> None:
        """Have the replica promoted."""
        await ask(self.port, "SENTINEL", "FAILOVER", self.service)

    async def _knows(self) -> bool:
        try:
            replicas = await ask(self.port, "SENTINEL", "REPLICAS", self.service)
        except (OSError, EOFError, RedisError):
            return False
        return bool(replicas) and "slave" in str(replicas) and "disconnected" not in str(replicas)
