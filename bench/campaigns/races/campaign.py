"""Rounds of races: pages load while writers write. Then each page is compared with the database."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

from bench.campaigns.races.back_end import BackEnd
from bench.campaigns.races.guestbook import Connection, Contents, connect, make_tables, read, reset
from bench.campaigns.races.page import END, LOADING, Page, listen
from bench.campaigns.races.ways import Way
from bench.campaigns.races.writer import Ledger, write
from bench.rig.node import HostPort

WRITERS = 4
PAGES = 20
"""Pages that load in one round."""
SPREAD = 0.03
"""Seconds over which the pages of a round begin to load."""
ENDS_WITHIN = 60.0
SHOWN = 5
"""Differences that are described. All are counted."""


@dataclass
class Result:
    """All races of one way.

    `missed` counts rows that a page does not show as the database has them, of which it does not show `absent` at all.
    """

    way: Way
    races: int = 0
    committed: int = 0
    late: int = 0
    closed: int = 0
    applied: int = 0
    repeats: int = 0
    overtaken: int = 0
    gaps: int = 0
    missed: int = 0
    absent: int = 0
    wrong_pages: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, page: Page, contents: Contents) -> None:
        """Compare a page with the database."""
        self.races += 1
        self.closed += page.closed
        self.applied += page.applied
        self.repeats += page.repeats
        self.overtaken += page.overtaken
        self.gaps += page.gaps
        shown, there = page.visible(), contents.visible()
        wrong = [row for row in sorted(shown | there) if shown.get(row) != there.get(row)]
        self.missed += len(wrong)
        self.absent += sum(row not in shown for row in wrong)
        self.wrong_pages += bool(wrong)
        for row in wrong[: SHOWN - len(self.differences)]:
            self.differences.append(
                f"{page.identifier}: row {row} is {there.get(row)}, and the page shows {shown.get(row)}"
            )

    def violations(self) -> list[str]:
        """Describe each broken promise. A way that loses changes must be seen to do so, or the campaign sees nothing."""
        found = []
        if self.way.closes and self.missed:
            found.append(f"{self.missed} rows missed")
        if self.gaps and not self.way.is_numbered:
            # For some minutes after its start a server does not know what a page with a number may have missed.
            found.append(f"{self.gaps} gaps")
        if not self.way.closes and not self.missed:
            found.append("nothing was missed, which this way should")
        if self.way.is_numbered and self.repeats:
            found.append(f"{self.repeats} repeats, of which a page with a number gets none")
        if not self.late or not self.overtaken or not self.closed:
            found.append("no commit or no push was out of order, or no change fell into the gap")
        return found


class Races:
    """Everything that a campaign keeps open: connections to the database in the folder `host`, and to the node."""

    def __init__(self, host: str, node: HostPort, rng: random.Random) -> None:
        self._host = host
        self._node = node
        self._rng = rng
        self._round = 0
        self._stack = AsyncExitStack()
        self._writers: list[tuple[Connection, BackEnd]] = []
        self._pages: list[tuple[Connection, BackEnd]] = []

    async def __aenter__(self) -> Self:
        await make_tables(self._host)
        self._writers = [await self._open() for _ in range(WRITERS)]
        self._pages = [await self._open() for _ in range(PAGES)]
        return self

    async def __aexit__(self, *_details: object) -> None:
        await self._stack.aclose()

    async def _open(self) -> tuple[Connection, BackEnd]:
        connection = await self._stack.enter_async_context(await connect(self._host))
        return connection, await self._stack.enter_async_context(BackEnd(self._node))

    async def run(self, way: Way, races: int) -> Result:
        """Run so many races of one way."""
        result = Result(way)
        while result.races < races:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._run_round(result, min(PAGES, races - result.races))
        return result

    async def _run_round(self, result: Result, count: int) -> None:
        self._round += 1
        identifier, ledger = f"round{self._round}", Ledger()
        connection, back_end = self._writers[0]
        await reset(connection)
        pages = [Page(result.way, identifier) for _ in range(count)]
        joined = [asyncio.Event() for _ in pages]

        def is_over() -> bool:
            return all(event.is_set() for event in joined)

        async with asyncio.TaskGroup() as loads:
            for page, event, tools in zip(pages, joined, self._pages, strict=False):
                loads.create_task(self._load(page, event, *tools))
            async with asyncio.TaskGroup() as writers:
                for tools in self._writers:
                    writers.create_task(write(result.way, *tools, identifier, ledger, self._rng, is_over))
            await back_end.push(identifier, None, END)
        result.committed += ledger.committed
        result.late += ledger.late
        contents = await read(connection)
        for page in pages:
            result.add(page, contents)

    async def _load(self, page: Page, joined: asyncio.Event, connection: Connection, back_end: BackEnd) -> None:
        await asyncio.sleep(self._rng.uniform(0, SPREAD))
        await page.render(connection, back_end, self._rng)
        await asyncio.sleep(self._rng.expovariate(1 / LOADING))
        await listen(page, self._node, self._rng, joined)
