"""A writer: transactions one after the other, each with one change, which is pushed after the commit."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.campaigns.races.back_end import BackEnd
from bench.campaigns.races.guestbook import Connection, Row, change, number_event
from bench.campaigns.races.ways import Start, Way

OPEN = 0.003
"""Mean seconds between the change and the commit. Transactions commit out of order, because the times differ."""
UNPUSHED = (0.002, 0.002, 0.002, 0.03)
"""Mean seconds between the commit and the push. Each push draws one of them, so pushes overtake each other."""


@dataclass
class Ledger:
    """The work of all writers of a round. `late`: inserts that were committed after one with a higher id."""

    committed: int = 0
    late: int = 0
    highest: int = 0
    texts: "itertools.count[int]" = field(default_factory=itertools.count)

    def note(self, row: Row) -> None:
        """Note a commit."""
        self.committed += 1
        if row.version == 1:
            self.late += row.id < self.highest
            self.highest = max(self.highest, row.id)


async def write(
    way: Way,
    connection: Connection,
    back_end: BackEnd,
    identifier: str,
    ledger: Ledger,
    rng: random.Random,
    is_over: Callable[[], bool],
) -> None:
    """Change, commit and push until the round is over."""
    while not is_over():
        row = await change(connection, rng, str(next(ledger.texts)), marks=way.marks)
        if row is None:
            await connection.rollback()
            continue
        await asyncio.sleep(rng.expovariate(1 / OPEN))
        number = row.id
        if way.start is Start.EVENT:
            number = await number_event(connection)
        await connection.commit()
        ledger.note(row)
        await asyncio.sleep(rng.expovariate(1 / rng.choice(UNPUSHED)))
        await back_end.push(identifier, row, number if way.is_numbered else None)
