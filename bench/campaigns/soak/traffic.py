"""Those who come and go: listeners on all transports and publishers, well behaved and not."""

import asyncio
import json
import random
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlencode

from bench.rig import wire
from bench.speed.servers.cometify import KEY

_SIZES = (0, *[100] * 15, 1_000, 1_000, 3_000, 20_000)


class Visitors:
    """A crowd that is a little different each second. `names`: how many identifiers it knows; `done` counts what it did."""

    def __init__(self, port: int, seed: int, names: int) -> None:
        self.done: Counter[str] = Counter()
        self._port = port
        self._random = random.Random(seed)
        self._names = [f"visited{number}" for number in range(names)]
        self._left = 0
        self._ids = [f"visitor{number:09}" for number in range(50)]

    async def busy(self, visits: int, listeners: int = 100, publishers: int = 4) -> None:
        """Come and go: so many connections of listeners, some at once, while others publish."""
        self._left = visits
        async with asyncio.TaskGroup() as group:
            for _ in range(listeners):
                group.create_task(self._again(self._listen))
            for _ in range(publishers):
                group.create_task(self._again(self._publish))

    async def push_once(self) -> None:
        """One push, with which the engine forgets the signatures that are too old."""
        reader, writer = await self._open()
        writer.write(self._push())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async def _again(self, visit: Callable[[], Awaitable[None]]) -> None:
        while self._left > 0:
            try:
                await visit()
            except (OSError, asyncio.IncompleteReadError):
                self.done["cut off"] += 1

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
        """One connection of a listener, which ends in one of many ways."""
        self._left -= 1
        way = self._random.choice(("websocket", "stream", "events", "poll"))
        reader, writer = await self._open()
        try:
            headers = wire.UPGRADE if way == "websocket" else {}
            writer.write(wire.request("GET", f"/{KEY}/{way}?{self._query()}", headers))
            self.done[way] += 1
            if self._random.random() < 0.05:
                return  # it goes before it is answered
            await self._stay(way, reader, writer, self._random.uniform(0.01, 0.3))
        finally:
            wire.close(writer, abruptly=self._random.random() < 0.3)

    async def _stay(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
        """So many seconds from the first byte on, so that a busy server is visited less often and not in vain."""
        if await reader.read(1):
            self.done["answered"] += 1
        if self._random.random() < 0.1:
            await asyncio.sleep(seconds)  # it stalls: what comes is not read
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while data := await reader.read(1 << 16):
                    self.done["deliveries"] += data.count(b'"type":"push"')
                    if way == "websocket" and self._random.random() < 0.1:
                        self._say(writer)
        if way == "websocket" and self._random.random() < 0.5:
            writer.write(wire.frame(struct.pack("!H", 1000), wire.CLOSE))

    def _say(self, writer: asyncio.StreamWriter) -> None:
        """What a listener says meanwhile: another listen, a ping, or what is none of the protocol."""
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
        """One connection of a publisher: some pushes, and the last without waiting for the answer."""
        reader, writer = await self._open()
        try:
            for _ in range(self._random.randint(1, 30)):
                writer.write(self._push())
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                self.done["pushes" if head.startswith(b"HTTP/1.1 200") else "refused"] += 1
            writer.write(self._push())
            await asyncio.sleep(0.01)
        finally:
            wire.close(writer, abruptly=self._random.random() < 0.3)
