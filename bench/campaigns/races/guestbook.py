"""The table that pages show, the changes of its rows, and the numbers of events. See docs/page-load.md."""

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import AsyncConnection

Connection = AsyncConnection[Any]

FIRST_ROWS = 4
"""Rows that `_RESET` makes before a round, and that nobody pushes."""
_SCHEMA = """
CREATE TABLE entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version bigint NOT NULL DEFAULT 1,
  text text NOT NULL,
  deleted boolean NOT NULL DEFAULT false
);
CREATE TABLE event_counter (last bigint NOT NULL);
"""
_RESET = """
TRUNCATE entries RESTART IDENTITY;
TRUNCATE event_counter;
INSERT INTO event_counter VALUES (0);
INSERT INTO entries (text) SELECT 'first' FROM generate_series(1, 4);
"""
_INSERT = "INSERT INTO entries (text) VALUES (%(text)s) RETURNING id, version, text, deleted"
_EDIT = """
UPDATE entries SET text = %(text)s, version = version + 1 WHERE id = %(id)s AND NOT deleted
RETURNING id, version, text, deleted
"""
_MARK = """
UPDATE entries SET deleted = true, version = version + 1 WHERE id = %(id)s AND NOT deleted
RETURNING id, version, text, deleted
"""
_REMOVE = "DELETE FROM entries WHERE id = %(id)s RETURNING id, version + 1, text, true"
_COUNT = "UPDATE event_counter SET last = last + 1 RETURNING last"
_READ = "SELECT id, version, text, deleted FROM entries"


class Row(NamedTuple):
    """A row, as it is read and as it is pushed."""

    id: int
    version: int
    text: str
    deleted: bool


@dataclass
class Contents:
    """The rows that were read at one moment. `number`: the newest event, or the highest id of a row."""

    rows: list[Row]
    number: int

    def visible(self) -> dict[int, str]:
        """Return the texts that a page shows, by the ids of their rows."""
        return {row.id: row.text for row in self.rows if not row.deleted}


async def make_tables(host: str) -> None:
    """Make the tables."""
    async with await connect(host) as connection:
        await connection.execute(_SCHEMA)


async def connect(host: str) -> Connection:
    """Open a connection to the PostgreSQL whose socket is in this folder."""
    return await AsyncConnection.connect(host=host, user="postgres")


async def reset(connection: Connection) -> None:
    """Begin a round with a few rows and no event."""
    await connection.execute(_RESET)
    await connection.commit()


async def read(connection: Connection) -> Contents:
    """Read the rows, and take the highest of their ids."""
    rows = await _rows(connection)
    await connection.commit()
    return Contents(rows, max((row.id for row in rows), default=0))


async def read_at_one_moment(connection: Connection) -> Contents:
    """Read the rows and the newest event as of one moment."""
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    counted = await (await connection.execute("SELECT last FROM event_counter")).fetchone()
    rows = await _rows(connection)
    await connection.commit()
    assert counted is not None
    return Contents(rows, counted[0])


async def _rows(connection: Connection) -> list[Row]:
    return [Row(*row) for row in await (await connection.execute(_READ)).fetchall()]


async def change(connection: Connection, rng: random.Random, text: str, *, marks: bool) -> Row | None:
    """Insert, edit or delete a row in the open transaction. Returns None if the chosen row is deleted already.

    Many edits meet in few rows, so that the pushes of one row overtake each other. `marks`: a deleted row is kept.
    """
    values = {"text": text, "id": rng.randint(1, FIRST_ROWS * 2)}
    statement = rng.choices((_INSERT, _EDIT, _MARK if marks else _REMOVE), (4, 4, 2))[0]
    found = await (await connection.execute(statement, values)).fetchone()
    return None if found is None else Row(*found)


async def number_event(connection: Connection) -> int:
    """Number an event. Other transactions wait for their number until this one has ended."""
    counted = await (await connection.execute(_COUNT)).fetchone()
    assert counted is not None
    return int(counted[0])
