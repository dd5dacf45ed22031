"""The outbox in a SQLite file. One relay owns it by a lock on a file beside it."""

import fcntl
import os
import select
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cometify.command.relay.table import DatabaseAway, DatabaseUnusable, OutboxTable

BUSY_FOR = 30.0
"""Seconds for which a statement waits for the transaction of another process."""


class SQLiteTable(OutboxTable):
    """See `OutboxTable`. `path`: of the file of the database, which must exist."""

    locks = ""  # only one process writes at a time
    # A time that SQLite cannot read counts as now, because a column there can hold anything.
    created = "CAST((coalesce(julianday(created_at), julianday('now')) - 2440587.5) * 86400000000 AS INTEGER)"
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise DatabaseUnusable(
                f"There is no file {path}. Write sqlite:/// and the path: sqlite:////srv/app.db for /srv/app.db"
            )
        self._lock = Path(f"{path}-relay")
        self._held: int | None = None
        self._db = sqlite3.connect(path, timeout=BUSY_FOR, isolation_level=None)
        self._db.text_factory = _readable

    def own(self) -> bool:
        try:
            opened = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DatabaseUnusable(f"{self._lock} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            return False
        self._held = opened
        return True

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            if not self._db.in_transaction and not statement.startswith("SELECT"):
                self._db.execute("BEGIN IMMEDIATE")
            found = self._db.execute(statement.replace("%s", "?"), tuple(values)).fetchall()
        except sqlite3.Error as error:
            if "no such" in str(error):
                raise DatabaseUnusable(
                    f"{error}. Create the outbox: cometify relay --ddl sqlite prints its table."
                ) from None
            raise DatabaseAway(str(error)) from None
        return [tuple([_readable(value) for value in row]) for row in found]

    def commit(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise DatabaseAway(str(error)) from None

    def wait(self, seconds: float, wake: int) -> None:
        select.select([wake], [], [], seconds)

    def close(self) -> None:
        self._db.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def ago(self, seconds: int) -> str:
        return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds:d} seconds')"


def _readable(value: Any) -> Any:
    """Return the text of bytes. Bytes that are not UTF-8 stay bytes, so that one row of them does not stop all others."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
