"""Publishers who do not give up: each push is sent, to one node or the other, until it is answered 200."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench.campaigns.faults.checker import Acknowledged
from bench.campaigns.faults.listener import Place
from bench.rig import wire
from bench.speed.servers.cometify import KEY

PATIENCE = 10.0
"""Seconds that a publisher waits for an answer. The server promises one within two, whatever happens to Redis."""


@dataclass
class Ledger:
    """What all publishers of a world did. `answers`: how often each status came; `slowest`: seconds to an answer."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    slowest: float = 0.0
    number: int = 0

    def next_text(self) -> str:
        """Unique; no identifier ends as it begins, so that no signature fits two pushes."""
        self.number += 1
        return f"#{self.number}"

    def count(self, answer: str) -> None:
        """One more of this kind."""
        self.answers[answer] = self.answers.get(answer, 0) + 1


class Publisher:
    """`pause`: seconds between two pushes, on average; `size`: bytes of a text, by identifier; `heard`: told of each 200."""

    def __init__(
        self,
        ledger: Ledger,
        places: Sequence[Place],
        chance: random.Random,
        heard: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._places = places
        self._chance = chance
        self._heard = heard
        self._streams: wire.Streams | None = None

    async def publish(self, sizes: dict[str, int], pause: float, going_on: Callable[[], bool]) -> None:
        """Push, as long as it goes on."""
        while going_on():
            name = self._chance.choice(list(sizes))
            await self.push(name, self._chance.random() < 0.3, sizes[name])
            await asyncio.sleep(self._chance.uniform(0, 2 * pause))

    async def push(self, name: str, secret: bool, size: int = 0) -> Acknowledged:
        """One push, sent until it is acknowledged."""
        text = self._ledger.next_text()
        key = f"key-{text}"
        text += " " + "x" * size if size else ""
        request = _request(name, text, secret, key)
        while True:
            position = await self._try(request, text)
            if position is not None:
                break
            self._leave()
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        push = Acknowledged(name, text, secret, position)
        self._ledger.acknowledged.append(push)
        self._heard()
        return push

    async def _try(self, request: bytes, text: str) -> int | None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._exchange(request)
        except TimeoutError:
            self._ledger.remarks.append(f"no answer to {text[:20]} for {PATIENCE:.0f} s")
            return None
        except (OSError, EOFError):
            self._ledger.count("cut")
            return None
        self._ledger.slowest = max(self._ledger.slowest, time.monotonic() - began)
        self._ledger.count(str(answer.status))
        if answer.status == 200:
            return int(json.loads(answer.body)["position"])
        if answer.status != 503:
            self._ledger.remarks.append(f"{text[:20]} was refused: {answer.status} {answer.body.decode()}")
        elif "retry-after" not in answer.headers:
            self._ledger.remarks.append("a 503 without Retry-After")
        return None

    async def _exchange(self, request: bytes) -> wire.Answer:
        if self._streams is None or self._chance.random() < 0.2:
            self._leave()
            self._streams = await asyncio.open_connection(*self._chance.choice(self._places))
        reader, writer = self._streams
        writer.write(request)
        return await wire.read_answer(reader)

    def _leave(self) -> None:
        if self._streams is not None:
            wire.close(self._streams[1])
            self._streams = None

    def close(self) -> None:
        """The last one was pushed."""
        self._leave()


def _request(name: str, text: str, secret: bool, key: str) -> bytes:
    fields = {"identifier": name, "text": text, "secret": str(int(secret)), "secure": wire.secure(name, text)}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": key}
    return wire.request("POST", f"/{KEY}/push/{name}", headers, urlencode(fields).encode())
