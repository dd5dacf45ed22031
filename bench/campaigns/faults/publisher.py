"""Publishers that do not give up: each push is sent, to any of the nodes, until it is answered 200."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench.campaigns.faults.checker import Acknowledged
from bench.rig import wire
from bench.rig.account import KEY
from bench.rig.node import HostPort

ANSWER_TIMEOUT = 10.0
"""Seconds that a publisher waits for an answer. The server promises one within two, whatever happens to Redis."""


@dataclass
class Ledger:
    """The work of all publishers. `answers` counts statuses; `slowest` is the longest time to an answer in seconds."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    slowest: float = 0.0
    number: int = 0

    def next_text(self) -> str:
        """Return a unique text.

        It begins with `#`, with which no identifier ends. Otherwise one signature could fit two pushes, because
        identifier and text are hashed without a separator.
        """
        self.number += 1
        return f"#{self.number}"

    def count(self, answer: str) -> None:
        """Count one answer of this kind."""
        self.answers[answer] = self.answers.get(answer, 0) + 1


class Publisher:
    """One publisher with one connection at a time. `on_acknowledged` is called after each 200."""

    def __init__(
        self,
        ledger: Ledger,
        nodes: Sequence[HostPort],
        rng: random.Random,
        on_acknowledged: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._nodes = nodes
        self._rng = rng
        self._on_acknowledged = on_acknowledged
        self._streams: wire.Streams | None = None

    async def publish(self, sizes: dict[str, int], pause: float, going_on: Callable[[], bool]) -> None:
        """Push while `going_on()`. `sizes` has the bytes of a text by identifier; `pause` is the mean pause in seconds."""
        while going_on():
            name = self._rng.choice(list(sizes))
            await self.push(name, self._rng.random() < 0.3, sizes[name])
            await asyncio.sleep(self._rng.uniform(0, 2 * pause))

    async def push(self, name: str, secret: bool, size: int = 0) -> Acknowledged:
        """Send one push until it is acknowledged. The caller limits the time."""
        text = self._ledger.next_text()
        key = f"key-{text}"
        text += " " + "x" * size if size else ""
        request = _request(name, text, secret, key)
        while (position := await self._try(request, text)) is None:
            self.close()
            await asyncio.sleep(self._rng.uniform(0.05, 0.3))
        push = Acknowledged(name, text, secret, position)
        self._ledger.acknowledged.append(push)
        self._on_acknowledged()
        return push

    async def _try(self, request: bytes, text: str) -> int | None:
        """Send the request once. Returns the push's position, or None if it must be sent again."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer = await self._exchange(request)
        except TimeoutError:
            self._ledger.remarks.append(f"no answer to {text[:20]} for {ANSWER_TIMEOUT:.0f} s")
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
        if self._streams is None or self._rng.random() < 0.2:
            self.close()
            self._streams = await asyncio.open_connection(*self._rng.choice(self._nodes))
        reader, writer = self._streams
        writer.write(request)
        return await wire.read_answer(reader)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._streams is not None:
            wire.close(self._streams[1])
            self._streams = None


def _request(name: str, text: str, secret: bool, key: str) -> bytes:
    fields = {"identifier": name, "text": text, "secret": str(int(secret)), "secure": wire.secure(name, text)}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": key}
    return wire.request("POST", f"/{KEY}/push/{name}", headers, urlencode(fields).encode())
