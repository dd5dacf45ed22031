"""A listener that is cut, by the fault or by itself, and comes again on any node, as often as it lives."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from bench.rig import wire
from bench.rig.client import Goodbye, Page, Refused
from bench.rig.transports import WAYS

Place = tuple[str, int]
"""Host and port of a node."""
SILENCE = 8.0
"""Seconds without a frame, heartbeats being one second apart: nothing that happens to Redis may silence a node."""
STAYS = 5.0
"""Seconds that a connection lasts, on average, before the listener itself cuts it."""


class Listener:
    """`way`: its transport; `places`: the nodes, any of which it comes to; `heard`: called after each frame."""

    def __init__(
        self, page: Page, way: str, places: Sequence[Place], chance: random.Random, heard: Callable[[], None]
    ) -> None:
        self.page = page
        self.connections = 0
        self.refused = 0
        self._way = way
        self._places = places
        self._chance = chance
        self._heard = heard

    async def live(self) -> None:
        """Listen until cancelled."""
        while True:
            wait = self._chance.uniform(0, 0.3)
            try:
                async with asyncio.timeout(self._chance.expovariate(1 / STAYS)):
                    await self._visit(self._chance.choice(self._places))
                wait = 0.0 if self._way == "hop" else wait
            except Goodbye as goodbye:
                wait = goodbye.after
            except Refused as refused:
                self.refused += 1
                if not refused.retry:
                    self.page.diary.remarks.append(f"sent away: {refused}")
            except (OSError, EOFError):  # cut, by itself or by others
                pass
            await asyncio.sleep(wait)

    async def _visit(self, place: Place) -> None:
        """One connection, to its end. Raises what ends it."""
        async with asyncio.timeout(SILENCE):
            streams = await asyncio.open_connection(*place, limit=1 << 20)
        self.connections += 1
        frames = WAYS[self._way](streams, self.page)
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE) as patience:
                        frame = await anext(frames)
                except TimeoutError:
                    if patience.expired():
                        self.page.diary.remarks.append(f"heard nothing for {SILENCE:.0f} s over {self._way}")
                    raise
                self.page.take(frame)
                self._heard()
        except StopAsyncIteration:
            pass
        finally:
            wire.close(streams[1], abruptly=self._chance.random() < 0.5)
            with suppress(RuntimeError):
                await frames.aclose()  # type: ignore[attr-defined] # it is a generator
