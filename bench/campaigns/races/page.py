"""A page: the rows that it has read, its join, and the pushes that it applies."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from bench.campaigns.races.back_end import BackEnd
from bench.campaigns.races.guestbook import Connection, Contents, Row, read, read_at_one_moment
from bench.campaigns.races.ways import Start, Way, clock_position
from bench.rig import wire
from bench.rig.node import HostPort
from bench.rig.transports import poll, stream, websocket

READING = 0.002
"""Mean seconds between the position and the read of the rows."""
LOADING = 0.010
"""Mean seconds between the read of the rows and the join."""
END = 2**53 - 1
"""The push_id of the last push of a round, which every page must get."""


@dataclass
class Page:
    """A page of one race.

    `position` or `number` is the value that it joins with. `applied`: pushes that changed it, of which `closed` came
    before it was live. `repeats`: pushes that it had already. `overtaken`: pushes that a newer one of their row had overtaken.
    """

    way: Way
    identifier: str
    position: int = 0
    number: int = 0
    applied: int = 0
    closed: int = 0
    repeats: int = 0
    overtaken: int = 0
    gaps: int = 0
    is_live: bool = False
    cursor: int | None = None
    _rows: dict[int, Row] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)
    _had: set[tuple[int, int]] = field(default_factory=set)

    async def render(self, connection: Connection, back_end: BackEnd, rng: random.Random) -> None:
        """Take the position if the way has one, and read the rows."""
        if self.way.start is Start.POSITION:
            self.position = await back_end.position()
        elif self.way.start is Start.CLOCK:
            self.position = clock_position()
        await asyncio.sleep(rng.expovariate(1 / READING))
        contents = await (read_at_one_moment if self.way.start is Start.EVENT else read)(connection)
        self.show(contents)
        if self.way.start is Start.LATE_POSITION:
            await asyncio.sleep(rng.expovariate(1 / READING))
            self.position = await back_end.position()

    def show(self, contents: Contents) -> None:
        """Show what was read."""
        self.number = contents.number
        for row in contents.rows:
            self._rows[row.id] = row
            self._newest[row.id] = contents.number if self.way.start is Start.EVENT else row.version
            self._had.add((row.id, row.version))

    def listen_frame(self) -> dict[str, Any]:
        """The `listen` frame with which the page joins."""
        if self.way.is_numbered:
            group: dict[str, Any] = {"identifiers": {self.identifier: self.number}}
        else:
            group = {"identifiers": [self.identifier], "position": self.position}
        if self.cursor is not None:
            group["position"] = self.cursor
        return {"type": "listen", "groups": [group]}

    def receive(self, frame: dict[str, Any]) -> bool:
        """Take one frame. Returns True if it is the last push of the round."""
        kind = frame["type"]
        assert kind != "error", frame
        self.is_live = self.is_live or kind == "heartbeat"
        self.gaps += kind == "gap"
        self.cursor = frame.get("position", self.cursor)
        if kind == "push":
            if frame["push_id"] == END:
                return True
            self._take(Row(*frame["data"]), frame["push_id"])
        return False

    def _take(self, row: Row, number: int | None) -> None:
        """Apply a push that is newer than what the page has of its row."""
        # A higher version is a newer change of its row, and so is a higher event. All rows begin at the event that was read.
        order = number if self.way.start is Start.EVENT and number is not None else row.version
        newest = self._newest.get(row.id, 0)
        if (row.id, row.version) in self._had:
            self.repeats += 1
        elif order <= newest:
            self.overtaken += 1
        else:
            self._newest[row.id] = order
            self._rows[row.id] = row
            self.applied += 1
            self.closed += not self.is_live
        self._had.add((row.id, row.version))

    def visible(self) -> dict[int, str]:
        """Return the texts that the page shows, by the ids of their rows."""
        return Contents(list(self._rows.values()), 0).visible()


async def listen(page: Page, node: HostPort, rng: random.Random, joined: asyncio.Event) -> None:
    """Join on any transport, and take frames until the last push of the round. `joined` is set once the page has joined."""
    transport = rng.choice((websocket, stream, poll))
    while True:
        streams = await asyncio.open_connection(*node, limit=1 << 20)
        try:
            async for frame in transport(streams, page):
                if page.receive(frame):
                    return
                joined.set()
        finally:
            wire.close(streams[1])
