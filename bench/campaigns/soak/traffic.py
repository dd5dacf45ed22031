"""Traffic of the soak: listeners on all transports and publishers that come and go, well behaved and badly behaved."""

import asyncio
import json
import random
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlencode

from bench.rig import wire
from bench.rig.account import KEY

_SIZES = (0, *[100] * 15, 1_000, 1_000, 3_000, 20_000)
"""Bytes that are added to a text, one chosen at random."""


class Traffic:
    """Random traffic on one server. `identifiers` is how many it knows; `counts` counts everything that it did."""

    def __init__(self, port: int, seed: int, identifiers: int) -> None:
        self.counts: Counter[str] = Counter()
        self._port = port
        self._random = random.Random(seed)
        self._names = [f"visited{number}" for number in range(identifiers)]
        self._left = 0
        self._ids = [f"visitor{number:09}" for number in range(50)]

    async def run(self, connections: int, listeners: int = 100, publishers: int = 4) -> None:
        """Open so many connections of listeners, `listeners` at a time, while `publishers` push."""
        self._left = connections
        async with asyncio.TaskGroup() as group:
            for _ in range(listeners):
                group.create_task(self._repeat(self._listen))
            for _ in range(publishers):
                group.create_task(self._repeat(self._publish))

    async def push_once(self) -> None:
        """Push once, because the engine forgets expired signatures when a push comes."""
        reader, writer = await self._open()
        writer.write(self._push())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def _repeat(self, connect: Callable[[], Awaitable[None]]) -> None:
        while self._left > 0:
            try:
                await connect()
            except (OSError, asyncio.IncompleteReadError):
                self.counts["cut off"] += 1

    async def _open(self) -> wire.Streams:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 16)

    # Listeners

    def _query(self) -> str:
        names = self._random.sample(self._names, self._random.randint(1, 3))
        internal = self._random.choice(("", "", ":0", ":5"))
        fields = {"identifiers": ",".join(name + internal for name in names)}
        if self._random.random() < 0.3:
            fields["secureKey"] = wire.secure_key(*names)
        if self._random.random() < 0.2:
            fields["position"] = str(self._random.choice((1, 2**52)))
        if self._random.random() < 0.3:
            fields["listener"] = self._random.choice(self._ids)
        if self._random.random() < 0.05:
            fields["identifiers"] = "1 is no identifier"
        return urlencode(fields, safe=":,")

    async def _listen(self) -> None:
        """Hold one connection of a listener, and end it in one of many ways."""
        self._left -= 1
        transport = self._random.choice(("websocket", "stream", "events", "poll"))
        reader, writer = await self._open()
        try:
            headers = wire.UPGRADE if transport == "websocket" else {}
            writer.write(wire.request("GET", f"/{KEY}/{transport}?{self._query()}", headers))
            self.counts[transport] += 1
            # Some listeners leave before they are answered.
            if self._random.random() < 0.05:
                return
            await self._read_for(transport, reader, writer, self._random.uniform(0.01, 0.3))
        finally:
            wire.close(writer, abruptly=self._random.random() < 0.3)

    async def _read_for(
        self, transport: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
    ) -> None:
        """Read for so many seconds from the first byte on.

        The time begins with the first byte so that a busy server gets fewer connections, and no connection in vain.
        """
        if await reader.read(1):
            self.counts["answered"] += 1
        # Some listeners stall: they read nothing of what comes.
        if self._random.random() < 0.1:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await reader.read(1 << 16):
                    self.counts["deliveries"] += data.count(b'"type":"push"')
                    if transport == "websocket" and self._random.random() < 0.1:
                        self._send_message(writer)
        if transport == "websocket" and self._random.random() < 0.5:
            writer.write(wire.frame(struct.pack("!H", 1000), wire.CLOSE))

    def _send_message(self, writer: asyncio.StreamWriter) -> None:
        """Send one of three messages: another `listen`, a ping, or a text that is not JSON."""
        groups = [{"identifiers": [self._random.choice(self._names)]}]
        listen = json.dumps({"type": "listen", "groups": groups}).encode()
        writer.write(
            self._random.choice(
                (wire.frame(listen, wire.TEXT), wire.frame(b"ping", wire.PING), wire.frame(b"{", wire.TEXT))
            )
        )

    # Publishers

    def _push(self) -> bytes:
        name, text = self._random.choice(self._names), self._random.randbytes(4).hex()
        text += "x" * self._random.choice(_SIZES)
        fields = {"text": text, "secret": self._random.choice("01"), "secure": wire.secure(name, text)}
        if self._random.random() < 0.5:
            fields["push_id"] = str(self._random.randrange(100))
        if self._random.random() < 0.05:
            fields["secure"] = "wrong"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._random.random() < 0.2:
            headers["Idempotency-Key"] = text[:8]
        return wire.request("POST", f"/{KEY}/push/{name}", headers, urlencode(fields).encode())

    async def _publish(self) -> None:
        """Hold one connection of a publisher: some pushes, and a last one whose answer it does not wait for."""
        reader, writer = await self._open()
        try:
            for _ in range(self._random.randint(1, 30)):
                writer.write(self._push())
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                self.counts["pushes" if head.startswith(b"HTTP/1.1 200") else "refused"] += 1
            writer.write(self._push())
            await asyncio.sleep(0.01)
        finally:
            wire.close(writer, abruptly=self._random.random() < 0.3)
