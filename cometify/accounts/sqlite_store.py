"""Records in a file of SQLite, for the processes of one machine.

All work is done in a thread, because a disk may be slow. `PRAGMA data_version` tells whether another connection has changed the
file. It reads one page, so looking costs some microseconds. After a change all records are read, because they are on this
machine.

The file has the rights 0600, because it holds the API secrets. SQLite gives its journal the same rights. A file that a backup
was restored to can have others, so they are set when the file is opened.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from cometify.accounts.store import Changes, StoreError, Version
from cometify.runtime.own_thread import OwnThread
from cometify.runtime.reactor import Reactor

log = Logger()
T = TypeVar("T")

LAYOUT = 1
"""The number of the layout of the file, in its header."""
BUSY = 1.0
"""Seconds that a change waits while another process changes the file."""
_OWNER_ALONE = 0o600
_OTHERS = 0o077
_BESIDE = ("", "-journal", "-wal", "-shm")
"""Ends of the names of the files that SQLite may have. It has the last two after another program has set the mode WAL."""
_TABLES = """
CREATE TABLE IF NOT EXISTS account (api_key TEXT PRIMARY KEY NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


class SQLiteFile:
    """The file, for one thread. Opened when it is first used, and again when another file has its name.

    `warn`: logs a line, from any thread. Methods raise `StoreError`.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._open_to_others: set[tuple[int, int]] = set()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._own_changes = 0
        self._opens = 0

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def read(self, known: Version | None) -> Changes | None:
        """See `IAccountStore.read`."""
        with self._opened() as connection:
            version = self._version(connection)
            if version == known:
                return None
            records = dict(connection.execute("SELECT api_key, record FROM account"))
            # A change between the two reads is read twice, and never missed.
            return Changes(
                version, records, is_whole=True, has_lost=known is not None and known.origin != version.origin
            )

    def change(self, api_key: str, before: str | None, after: str | None) -> bool:
        """See `IAccountStore.change`."""
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                found = connection.execute("SELECT record FROM account WHERE api_key = ?", (api_key,)).fetchone()
                if (None if found is None else found[0]) != before:
                    return False
                if after is None:
                    connection.execute("DELETE FROM account WHERE api_key = ?", (api_key,))
                else:
                    connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?)", (api_key, after))
                connection.execute("COMMIT")
                self._own_changes += 1
                return True
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _version(self, connection: sqlite3.Connection) -> Version:
        (number,) = connection.execute("PRAGMA data_version").fetchone()
        # The number counts for this connection alone. Another one may begin with the same.
        return Version(str(self._file), number + self._own_changes, f"{self._opens}")

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is not None and self._file != self._identity():
                self.close()
            if self._connection is None:
                self._open()
            yield cast("sqlite3.Connection", self._connection)
        except sqlite3.Error as error:
            if not isinstance(error, sqlite3.OperationalError):  # such as "database is locked", which passes
                self.close()
            raise StoreError(f"{self._path}: {error}") from None
        except OSError as error:
            self.close()
            raise StoreError(f"{self._path}: {error.strerror}") from None

    def _identity(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_dev, found.st_ino

    def _open(self) -> None:
        if self._file is None:  # A file that goes later is not made again: its accounts would be gone too.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ALONE))
        identity = self._identity()
        for end in _BESIDE:
            self._close_to_others(Path(f"{self._path}{end}"))
        # In the mode of autocommit, because the transactions are written out.
        connection = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            (layout,) = connection.execute("PRAGMA user_version").fetchone()
            self._check_layout(layout)
            connection.execute("PRAGMA secure_delete = ON")  # old secrets are overwritten
            if layout < LAYOUT:
                connection.executescript(_TABLES)
        except BaseException:
            connection.close()
            raise
        self._connection, self._file = connection, identity
        self._opens += 1

    def _close_to_others(self, file: Path) -> None:
        try:
            found = file.stat()
        except FileNotFoundError:
            return
        if not found.st_mode & _OTHERS:
            return
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        try:
            file.chmod(_OWNER_ALONE)
        except FileNotFoundError:
            return
        except OSError as error:
            if (found.st_dev, found.st_ino) not in self._open_to_others:
                self._open_to_others.add((found.st_dev, found.st_ino))
                self._warn(
                    f"{file}: has the API secrets of kept accounts and the mode {mode}, which cannot be changed "
                    f"({error.strerror}): give the file to the user of the server, with the mode 0600."
                )
        else:
            self._warn(
                f"{file}: has the API secrets of kept accounts and had the mode {mode}. It has the mode 0600 now. If another "
                "user of this machine may have read it, replace the secrets."
            )

    def _check_layout(self, layout: int) -> None:
        if layout > LAYOUT:
            raise StoreError(f"{self._path}: was written by a newer version of Cometify; start that version")


class SQLiteStore:
    """See `IAccountStore`."""

    look_every = 0.25

    def __init__(self, reactor: Reactor, path: Path) -> None:
        self._thread = OwnThread(reactor, "accounts")
        self._file = SQLiteFile(path, lambda words: reactor.callFromThread(_warn, words))

    def start(self, announced: Callable[[], None]) -> None:
        self._thread.start()

    def read_before_serving(self) -> Changes | None:
        return self._file.read(None)  # in the caller's thread, because the other one does nothing yet

    def stop(self) -> None:
        self._thread.run(self._file.close)
        self._thread.stop()

    def read(self, known: Version | None) -> Deferred[Changes | None]:
        return self._thread.run(self._file.read, known)

    def change(self, api_key: str, before: str | None, after: str | None) -> Deferred[bool]:
        return self._thread.run(self._file.change, api_key, before, after)


def _warn(words: str) -> None:
    log.warn("{words}", words=words)  # noqa: G010 - Twisted's warn is not deprecated.
