"""The outbox in a database: the statements that the relay runs. Each database has a subclass.

Statements have the placeholder %s. A transaction begins with the first statement, and `commit` ends it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from cometify.command.relay.rows import Row

_WAITING = "sent_at IS NULL AND dead_at IS NULL"
_DEAD = "sent_at IS NULL AND dead_at IS NOT NULL"
_COLUMNS = (
    "id, idempotency_key, identifier, text, data, secret, event, except_listener, tries, first_tried_at, next_try_at"
)


class DatabaseAway(Exception):
    """The database cannot be used now. The message is its own, without a password."""


class DatabaseUnusable(Exception):
    """The database cannot be used until somebody changes something. The message says what."""


@attrs.frozen
class DeadLetter:
    """A row that is not sent. `error`: the code of the refusal and its detail."""

    id: int
    identifier: str
    error: str


@attrs.frozen
class Stock:
    """The rows of the outbox. `oldest`: the seconds for which the oldest waiting row has waited."""

    waiting: int
    dead: int
    oldest: float


class OutboxTable(ABC):
    """The table of one database, through one session.

    All methods raise `DatabaseAway` if the session ends. After that the object is useless.
    """

    poll_every = 0.1
    """Seconds after which the table is read again if nothing tells of new rows."""
    locks = " FOR UPDATE SKIP LOCKED"
    """Rows that another session has locked, such as a person's, do not hold the relay up."""
    created = ""
    """The SQL of `created_at` in Unix microseconds."""
    now = "CURRENT_TIMESTAMP"
    """The SQL of the time now, for a column."""

    @abstractmethod
    def own(self) -> bool:
        """Try to become the owner of the outbox. The session holds the lock until it ends."""

    @abstractmethod
    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement. Returns its rows."""

    @abstractmethod
    def commit(self) -> None:
        """Commit what was done since the last commit."""

    @abstractmethod
    def wait(self, seconds: float, wake: int) -> None:
        """Wait until rows can be there, until the descriptor `wake` can be read, or for so many seconds."""

    @abstractmethod
    def close(self) -> None:
        """End the session."""

    @abstractmethod
    def ago(self, seconds: int) -> str:
        """The SQL of the time so many seconds ago, for a column."""

    def check(self) -> None:
        """Raise `DatabaseUnusable` if there is no outbox, or an old one."""
        self.run(f"SELECT {_COLUMNS}, {self.created} FROM cometify_outbox LIMIT 1")  # noqa: S608
        self.commit()

    def ping(self) -> None:
        """Keep the session alive, and notice if it has ended."""
        self.run("SELECT 1")
        self.commit()

    def waiting(self, most: int, held: Iterable[str]) -> list[Row]:
        """Read and lock the lowest rows that are to be sent, but none of the identifiers in `held` (in lower case)."""
        names = sorted(held)
        left_out = f" AND lower(identifier) NOT IN ({_marks(names)})" if names else ""
        return self._rows(f"{_WAITING} AND first_tried_at IS NULL{left_out}", names, f" LIMIT {most:d}{self.locks}")

    def in_doubt(self) -> list[Row]:
        """Read the rows whose request has no answer."""
        return self._rows(f"{_WAITING} AND first_tried_at IS NOT NULL", (), "")

    def claim(self, ids: Sequence[int], at: int) -> None:
        """Note that a request with these rows goes out. `at`: Unix microseconds, different for each batch."""
        self._update("first_tried_at = %s, next_try_at = NULL, tries = 1", (at,), ids)

    def touch(self, ids: Sequence[int], at: int) -> None:
        """Note that the request goes out again. `at`: Unix microseconds."""
        self._update("next_try_at = %s, tries = tries + 1", (at,), ids)

    def release(self, ids: Sequence[int]) -> None:
        """Note that these rows were not pushed. They wait for another request."""
        self._update("first_tried_at = NULL, next_try_at = NULL", (), ids)

    def remove(self, ids: Sequence[int]) -> None:
        """Delete rows that were pushed."""
        self.run(f"DELETE FROM cometify_outbox WHERE id IN ({_marks(ids)})", ids)  # noqa: S608

    def mark_sent(self, ids: Sequence[int]) -> None:
        """Keep rows that were pushed, with the time."""
        self._update(f"sent_at = {self.now}", (), ids)

    def remove_sent(self, seconds: int) -> None:
        """Delete the rows that were pushed so many seconds ago or earlier."""
        self.run(f"DELETE FROM cometify_outbox WHERE sent_at <= {self.ago(seconds)}")  # noqa: S608

    def bury(self, ids: Sequence[int], error: str) -> None:
        """Make dead letters of rows."""
        self._update(f"error = %s, dead_at = {self.now}", (error,), ids)

    def dead(self) -> list[DeadLetter]:
        """Read the dead letters."""
        statement = f"SELECT id, identifier, error FROM cometify_outbox WHERE {_DEAD} ORDER BY id"  # noqa: S608
        found = [DeadLetter(int(row[0]), str(row[1]), str(row[2])) for row in self.run(statement)]
        self.commit()
        return found

    def revive(self, ids: Sequence[int]) -> None:
        """Let dead letters wait to be sent again."""
        cleared = "dead_at = NULL, error = NULL, first_tried_at = NULL, next_try_at = NULL, tries = 0"
        self._update(cleared, (), ids)

    def stock(self, now: int) -> Stock:
        """Count the rows. `now`: Unix microseconds."""
        ((waiting, oldest),) = self.run(
            f"SELECT count(*), min({self.created}) FROM cometify_outbox WHERE {_WAITING}"  # noqa: S608
        )
        ((dead,),) = self.run(f"SELECT count(*) FROM cometify_outbox WHERE {_DEAD}")  # noqa: S608
        self.commit()
        return Stock(int(waiting), int(dead), 0.0 if oldest is None else max(0.0, (now - int(oldest)) / 1_000_000))

    def _rows(self, condition: str, values: Sequence[object], end: str) -> list[Row]:
        statement = f"SELECT {_COLUMNS}, {self.created} FROM cometify_outbox WHERE {condition} ORDER BY id{end}"  # noqa: S608
        return [Row(*found) for found in self.run(statement, values)]

    def _update(self, columns: str, values: Sequence[object], ids: Sequence[int]) -> None:
        statement = f"UPDATE cometify_outbox SET {columns} WHERE id IN ({_marks(ids)})"  # noqa: S608
        self.run(statement, [*values, *ids])


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))
