"""A visitor: a listener that comes back whenever its connection ends, as soon as a page's client would."""

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.rig import wire
from bench.rig.client import Client, Group, ReconnectRequested, Refused
from bench.rig.node import HostPort
from bench.rig.transports import TRANSPORTS

WAYS = ("websocket", "stream", "events", "poll")
SILENT_POLL = 0.25
"""Seconds within which a poll that is refused has its answer."""
SILENCE = 60.0
"""Seconds without a frame after which a connection counts as cut. Heartbeats are far more often."""
LONGEST_DELAY = 30.0
"""Most seconds between two attempts. The first delay is up to one second, and each further one up to twice as long."""


@dataclass
class Experience:
    """The experience of all visitors together. `sent`: when each text was pushed. Times are those of `time.monotonic`.

    `away`: for each connection that ended, the seconds until the next one had joined. `delays`: for each delivery the
    seconds since the push was first sent, also if it was refused at first.
    """

    sent: dict[str, float] = field(default_factory=dict)
    away: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)


class Visitor:
    """Listens to one identifier through a balancer. `is_there`: it has joined, and its connection has not ended."""

    def __init__(self, number: int, identifier: str, balancer: HostPort, experience: Experience) -> None:
        self.client = Client(f"visitor{number:06}", [Group((identifier,), right=False)])
        self.is_there = False
        self._transport = WAYS[number % len(WAYS)]
        self._balancer = balancer
        self._experience = experience
        self._left_at: float | None = None
        self._failures = 0

    async def listen(self) -> None:
        """Listen, connection after connection, until cancelled."""
        while True:
            why, wait = "ended", 0.0
            try:
                await self._connect()
            except ReconnectRequested as request:
                why, wait = "reconnect", request.after
            except Refused as refused:
                why, wait = refused.code, 1 + self._backoff()
            except (OSError, EOFError):  # TimeoutError is an OSError
                why, wait = "cut", self._backoff()
            if self.is_there:
                self.is_there = False
                self._left_at = time.monotonic()
            self._experience.ends[why] += 1
            await asyncio.sleep(wait)

    def _backoff(self) -> float:
        self._failures += 1
        return random.uniform(0, min(LONGEST_DELAY, 2.0 ** (self._failures - 1)))

    async def _connect(self) -> None:
        async with asyncio.timeout(10):
            streams = await asyncio.open_connection(*self._balancer, limit=1 << 20)
        frames = TRANSPORTS[self._transport](streams, self.client)
        # A poll that resumes is silent until there is a push or a heartbeat. Without a refusal by then it waits.
        opened = time.monotonic()
        is_silent = self._transport == "poll" and self.client.groups[0].position is not None
        waits = asyncio.get_running_loop().call_later(SILENT_POLL, self._joined, opened) if is_silent else None
        try:
            while True:
                async with asyncio.timeout(SILENCE):
                    frame = await anext(frames)
                self._take(frame)
                self.client.receive(frame)
        except StopAsyncIteration:
            pass
        finally:
            if waits is not None:
                waits.cancel()
            wire.close(streams[1])
            with suppress(RuntimeError):
                await frames.aclose()  # type: ignore[attr-defined] # it is a generator

    def _take(self, frame: dict[str, Any]) -> None:
        now, kind = time.monotonic(), frame["type"]
        if kind in ("ready", "heartbeat", "push"):
            self._joined(now)
        if kind == "push":
            self._experience.delays.append(now - self._experience.sent[frame["text"]])

    def _joined(self, at: float) -> None:
        if not self.is_there:
            self.is_there, self._failures = True, 0
            if self._left_at is not None:
                self._experience.away.append(at - self._left_at)
