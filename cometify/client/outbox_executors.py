"""The transaction of the application, whatever it uses to run SQL: a DB-API driver, Django or SQLAlchemy.

None of them is imported here. They are told apart by their attributes, and drivers by the module of their classes.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import isawaitable, iscoroutinefunction
from itertools import count
from typing import Any, Protocol

_DRIVERS = {
    "sqlite3": "sqlite",
    "pysqlite3": "sqlite",
    "sqlean": "sqlite",
    "psycopg": "postgresql",
    "psycopg_c": "postgresql",
    "psycopg_binary": "postgresql",
    "psycopg2": "postgresql",
    "pymysql": "mysql",
    "MySQLdb": "mysql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
"""The dialects of drivers, by the package of their cursors."""
_NAMES = {"mariadb": "mysql"}
"""Names of Django and SQLAlchemy that are not the name of a dialect here."""
_ASYNC = (
    "This executor is awaited. With SQLAlchemy write: await session.run_sync(lambda session: outbox.add(session, …)). With "
    "any other driver, insert the row yourself: docs/outbox.md has the statement."
)


class _Result(Protocol):
    lastrowid: Any

    def fetchone(self) -> Any: ...


class Runner:
    """Runs statements in the transaction of the application.

    `mark`: returns the placeholder of each next value.
    """

    def __init__(self, dialect: str, mark: Callable[[], str], execute: Callable[..., Any]) -> None:
        self.dialect = dialect
        self._mark = mark
        self._execute = execute

    def execute(self, statement: str, *values: Sequence[object]) -> Any:
        """Run a statement. Returns the result, which has rows."""
        result = self._execute(statement, *values)
        _refuse_awaited(result)
        return result

    def insert(self, table: str, columns: Mapping[str, object]) -> int:
        """Insert a row and return its id."""
        marks = ", ".join(self._mark() for _ in columns)
        # The names are those of this package, and the values are sent beside the statement.
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
        if self.dialect != "postgresql":
            return int(self.execute(statement, tuple(columns.values())).lastrowid)
        return int(_first(self.execute(f"{statement} RETURNING id", tuple(columns.values())).fetchone()))


@contextmanager
def run(executor: Any, dialect: str | None = None) -> Iterator[Runner]:
    """Run statements with an executor of any kind. Raises TypeError if it is of none."""
    if hasattr(executor, "get_bind") and hasattr(executor, "connection"):  # a Session of SQLAlchemy
        executor = executor.connection()
        _refuse_awaited(executor)
    if hasattr(executor, "exec_driver_sql"):
        found = dialect or executor.dialect.name
        yield Runner(_NAMES.get(found, found), _mark(executor.dialect.paramstyle), executor.exec_driver_sql)
    elif hasattr(executor, "fetchone"):
        yield _runner(executor, dialect or _dialect(executor))
    elif callable(getattr(executor, "cursor", None)):
        found = dialect or _dialect(executor)
        cursor = executor.cursor()
        try:
            yield _runner(cursor, found)
        finally:
            closed = cursor.close()
            if isawaitable(closed):
                closed.close()  # type: ignore[attr-defined]
    else:
        raise TypeError(
            f"{type(executor).__name__} runs no SQL: give a cursor or a connection of the database, a connection of Django, or "
            "a Session of SQLAlchemy."
        )


def _runner(cursor: Any, dialect: str) -> Runner:
    if iscoroutinefunction(cursor.execute):
        raise TypeError(_ASYNC)

    def execute(statement: str, *values: Sequence[object]) -> _Result:
        _refuse_awaited(cursor.execute(statement, *values))
        found: _Result = cursor
        return found

    # Django's cursors take %s for every database.
    is_plain_sqlite = dialect == "sqlite" and not hasattr(cursor, "db")
    return Runner(dialect, _mark("qmark" if is_plain_sqlite else "format"), execute)


def _refuse_awaited(result: Any) -> None:
    """Raise TypeError for a result that must be awaited."""
    if isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()  # it would warn that nobody awaited it
        raise TypeError(_ASYNC)


def _mark(paramstyle: str) -> Callable[[], str]:
    if paramstyle == "qmark":
        return lambda: "?"
    if paramstyle == "numeric_dollar":
        numbers = count(1)
        return lambda: f"${next(numbers)}"
    return lambda: "%s"


def _dialect(executor: Any) -> str:
    """Find the dialect of a connection or a cursor."""
    vendor = getattr(executor, "vendor", None) or getattr(getattr(executor, "db", None), "vendor", None)
    if isinstance(vendor, str):  # Django's
        return _NAMES.get(vendor, vendor)
    for kind in type(executor).__mro__:
        found = _DRIVERS.get(kind.__module__.partition(".")[0])
        if found is not None:
            return found
    raise TypeError(
        f"The driver of {type(executor).__module__} is not known: use one that docs/outbox.md names, or insert the row "
        "yourself."
    )


def _first(row: Any) -> Any:
    """Return the only value of a row, whatever the driver makes of rows."""
    if isinstance(row, Mapping):
        return next(iter(row.values()))
    return row[0] if isinstance(row, Sequence) else row.id if hasattr(row, "id") else row[0]
