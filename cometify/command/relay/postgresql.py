"""The outbox in PostgreSQL, through psycopg. A trigger of the table notifies the relay of new rows."""

import re
import select
from collections.abc import Sequence
from typing import Any

from cometify.command.relay.table import DatabaseAway, DatabaseUnusable, OutboxTable

try:
    import psycopg
except ImportError:  # pragma: no cover - the tests have it
    raise DatabaseUnusable("The relay needs psycopg for PostgreSQL: pip install 'cometify[postgresql]'") from None

_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "cometify relay",
}
"""A machine that has vanished is noticed within half a minute."""
_SESSION = (
    # The server ends the session of a relay that is stopped or has vanished, and with it its lock.
    "SET idle_session_timeout = '60s'",
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET statement_timeout = '60s'",
    "LISTEN cometify_outbox",
)
_LOCK = "SELECT pg_try_advisory_lock((20001::bigint << 32) | 'cometify_outbox'::regclass::oid::bigint)"
"""The lock is of the session, and there is one for each table of this name."""

_PARAMETER = re.compile(r"invalid URI query parameter: (\"\w+\")")
_PORTS = re.compile(r"[0-9,]*")
_UNREADABLE = (
    "The URL of the database cannot be read: postgresql://USER:PASSWORD@HOST/DATABASE. Percent-encode all characters of the "
    "password but letters and digits."
)
"""libpq would repeat a part of a password that has such characters."""


class PostgresTable(OutboxTable):
    """See `OutboxTable`."""

    poll_every = 1.0
    created = "(extract(epoch FROM created_at) * 1000000)::bigint"

    def __init__(self, url: str) -> None:
        options = _CONNECT | _given(url)
        try:
            self._db: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(url, **options)
            for statement in _SESSION:
                self.run(statement)
            self.commit()
        except psycopg.ProgrammingError as error:
            raise DatabaseUnusable(f"The URL of the database cannot be used: {_reason(error)}") from None
        except psycopg.Error as error:
            raise DatabaseAway(_reason(error)) from None

    def own(self) -> bool:
        ((owns,),) = self.run(_LOCK)
        self.commit()
        return bool(owns)

    def run(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        try:
            cursor = self._db.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise DatabaseUnusable(
                f"{_reason(error)}. Create the outbox: cometify relay --ddl postgresql prints its table."
            ) from None
        except psycopg.Error as error:
            raise DatabaseAway(_reason(error)) from None

    def commit(self) -> None:
        try:
            self._db.commit()
        except psycopg.Error as error:
            raise DatabaseAway(_reason(error)) from None

    def wait(self, seconds: float, wake: int) -> None:
        try:
            if not self._take_notifications():
                select.select([self._db.fileno(), wake], [], [], seconds)
                self._take_notifications()
        except (OSError, psycopg.Error) as error:
            raise DatabaseAway(_reason(error)) from None

    def _take_notifications(self) -> bool:
        """Return True if there were any.

        Some were read together with the answer to an earlier statement. `select` does not tell of those.
        """
        found = False
        while self._db.pgconn.notifies() is not None:
            found = True
        return any([found, *self._db.notifies(timeout=0)])

    def close(self) -> None:
        self._db.close()

    def ago(self, seconds: int) -> str:
        return f"now() - interval '{seconds:d} seconds'"


def _given(url: str) -> dict[str, Any]:
    """Return the settings of the URL that this module has values for too. Those of the URL hold."""
    try:
        given = psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        unknown = _PARAMETER.search(str(error)) if "@" in url.partition("?")[0] else None
        raise DatabaseUnusable(f"There is no parameter {unknown[1]}." if unknown else _UNREADABLE) from None
    host, port = str(given.get("host", "")), str(given.get("port", ""))
    if "@" in host or not _PORTS.fullmatch(port):
        raise DatabaseUnusable(_UNREADABLE)
    return {name: value for name, value in given.items() if name in _CONNECT}


def _reason(error: Exception) -> str:
    """Return the first line of an error. libpq repeats no password."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
