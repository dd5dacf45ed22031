"""A listener that loses its connection, by the fault or by its own choice, and resumes on any node until it is cancelled."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from bench.rig import wire
from bench.rig.client import Client, ReconnectRequested, Refused
from bench.rig.node import HostPort
from bench.rig.transports import TRANSPORTS

SILENCE_LIMIT = 8.0
"""Seconds without a frame that are a violation. Heartbeats are one second apart, and no fault of Redis may silence a node."""
MEAN_CONNECTION_TIME = 5.0
"""Seconds that a connection lasts on average before the listener cuts it."""


class Listener:
    """One listener on one transport.

    `nodes` are the addresses of which each connection takes one at random. `on_frame` is called after each frame.
    """

    def __init__(
        self,
        client: Client,
        transport: str,
        nodes: Sequence[HostPort],
        rng: random.Random,
        on_frame: Callable[[], None],
    ) -> None:
        self.client = client
        self.connections = 0
        self.refused = 0
        self._transport = transport
        self._nodes = nodes
        self._rng = rng
        self._on_frame = on_frame

    async def listen(self) -> None:
        """Listen, connection after connection, until cancelled."""
        while True:
            wait = self._rng.uniform(0, 0.3)
            try:
                async with asyncio.timeout(self._rng.expovariate(1 / MEAN_CONNECTION_TIME)):
                    await self._connect(self._rng.choice(self._nodes))
                wait = 0.0 if self._transport == "hop" else wait
            except ReconnectRequested as request:
                wait = request.after
            except Refused as refused:
                self.refused += 1
                # A listener that hops comes back at once. On a busy machine its last connection can join behind the next one.
                if not refused.retry and not (self._transport == "hop" and refused.code == "replaced"):
                    self.client.history.remarks.append(f"sent away: {refused}")
            except (OSError, EOFError):  # The fault or this listener cut the connection. TimeoutError is an OSError.
                pass
            await asyncio.sleep(wait)

    async def _connect(self, node: HostPort) -> None:
        """Hold one connection until it ends. Raises the reason for its end."""
        async with asyncio.timeout(SILENCE_LIMIT):
            streams = await asyncio.open_connection(*node, limit=1 << 20)
        self.connections += 1
        frames = TRANSPORTS[self._transport](streams, self.client)
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE_LIMIT) as limit:
                        frame = await anext(frames)
                except TimeoutError:
                    # The listener's own cut raises TimeoutError here as well; only the limit's is a violation.
                    if limit.expired():
                        remark = f"heard nothing for {SILENCE_LIMIT:.0f} s over {self._transport}"
                        self.client.history.remarks.append(remark)
                    raise
                self.client.receive(frame)
                self._on_frame()
        except StopAsyncIteration:
            pass
        finally:
            wire.close(streams[1], abruptly=self._rng.random() < 0.5)
            with suppress(RuntimeError):
                await frames.aclose()  # type: ignore[attr-defined] # it is a generator
