"""The outbox in MySQL or MariaDB, through PyMySQL."""

import select
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from cometify.command.relay.table import DatabaseAway, DatabaseUnusable, OutboxTable

try:
    import pymysql
except ImportError:  # pragma: no cover - the tests have it
    raise DatabaseUnusable("The relay needs PyMySQL for MySQL: pip install 'cometify[mysql]'") from None

_OPTIONS = frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"})
"""Options of PyMySQL that a URL can have behind a question mark."""
_SESSION = (
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    # The server ends the session of a relay that is stopped or has vanished, and with it its lock.
    "SET SESSION wait_timeout = 60",
)
_LOCK = "SELECT GET_LOCK(CONCAT('cometify_', MD5(DATABASE())), 0)"
"""The lock is of the session. Its name can have 64 characters."""
_MISSING = frozenset({1054, 1146})
"""Numbers of the errors that a column or a table is missing."""


class MySQLTable(OutboxTable):
    """See `OutboxTable`."""

    created = "CAST(UNIX_TIMESTAMP(created_at) * 1000000 AS SIGNED)"
    now = "CURRENT_TIMESTAMP(6)"

    def __init__(self, url: str) -> None:
        options = _read(url)
        try:
            self._db = pymysql.connect(
                charset="utf8mb4", connect_timeout=10, read_timeout=60, write_timeout=60, autocommit=False, **options
            )
        except pymysql.Error as error:
            raise DatabaseAway(_reason(error)) from None
        for statement in _SESSION:
            self.run(statement)
        self.commit()

    def own(self) -> bool:
        ((owns,),) = self.run(_LOCK)
        self.commit()
        return bool(owns)

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._db.cursor() as cursor:
                cursor.execute(statement, tuple(values) or None)
                return list(cursor.fetchall()) if cursor.description else []
        except pymysql.Error as error:
            if error.args and error.args[0] in _MISSING:
                raise DatabaseUnusable(
                    f"{_reason(error)}. Create the outbox: cometify relay --ddl mysql prints its table."
                ) from None
            raise DatabaseAway(_reason(error)) from None

    def commit(self) -> None:
        try:
            self._db.commit()
        except pymysql.Error as error:
            raise DatabaseAway(_reason(error)) from None

    def wait(self, seconds: float, wake: int) -> None:
        select.select([wake], [], [], seconds)

    def close(self) -> None:
        if self._db.open:
            self._db.close()

    def ago(self, seconds: int) -> str:
        return f"CURRENT_TIMESTAMP(6) - INTERVAL {seconds:d} SECOND"


def _read(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
    except ValueError:
        raise DatabaseUnusable("The URL of the database cannot be read: mysql://USER:PASSWORD@HOST/DATABASE") from None
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    database = unquote(parts.path.removeprefix("/"))
    if not database or not options.keys() <= _OPTIONS:
        known = ", ".join(sorted(_OPTIONS))
        raise DatabaseUnusable(
            f"Write mysql://USER:PASSWORD@HOST/DATABASE. Behind a question mark there can be {known}."
        )
    given = {"host": parts.hostname or "localhost", "port": port, "database": database}
    return {**given, "user": unquote(parts.username or ""), "password": unquote(parts.password or ""), **options}


def _reason(error: Exception) -> str:
    return str(error.args[-1]) if error.args else type(error).__name__
