"""A guestbook in a real database, as docs/page-load.md has it, and changes whose commits and pushes come when told."""

import random
import re
import sqlite3
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

PAGE = (Path(__file__).parents[2] / "docs" / "page-load.md").read_text("utf-8")
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
"""The blocks of SQL in the documentation: the rows, their changes, the counter, an event, the read of a page."""
ROWS, CHANGES, COUNTER, EVENT, READ = SQL
INSERT, EDIT, DELETE = (
    re.sub(r"'\w+'", ":text", statement).replace("id = 1", "id = :id") for statement in CHANGES.strip().split("\n")
)
"""The three changes of the documentation, for any text and row."""

BEFORE, BETWEEN, LOADING, LIVE = range(4)
"""Moments: before the position is taken; before the rows are read; before the page listens; while it listens."""

Row = dict[str, Any]


class Database(ABC):
    """The table `entries` in one database."""

    @abstractmethod
    def adapt(self, sample: str) -> str:
        """Let a sample of the documentation read this database."""

    @abstractmethod
    def begin(self, statement: str, **values: Any) -> "Transaction":
        """Begin a transaction that makes one change."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """Return all rows, deleted ones too."""

    def change(self, statement: str, **values: Any) -> Row:
        """Make one change and commit it."""
        return self.begin(statement, **values).commit()

    def insert(self, text: str) -> Row:
        return self.change(INSERT, text=text)


class Transaction(ABC):
    """A transaction with one change."""

    @abstractmethod
    def commit(self) -> Row:
        """Commit, and return the row as it is then."""


class SQLite(Database):
    """A file, with one writer at a time. A transaction that has begun does nothing until it commits."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "guestbook.db"
        with self.connect() as db:
            identity = "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            assert identity in ROWS
            db.execute(ROWS.replace(identity, "integer PRIMARY KEY AUTOINCREMENT"))
        db.close()

    def connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path)
        db.row_factory = sqlite3.Row
        return db

    def adapt(self, sample: str) -> str:
        return replaced(sample, "guestbook.db", str(self.path))

    def begin(self, statement: str, **values: Any) -> Transaction:
        return _SQLiteTransaction(self, statement, values)

    def rows(self) -> list[Row]:
        db = self.connect()
        try:
            return [dict(row) for row in db.execute("SELECT * FROM entries")]
        finally:
            db.close()


@dataclass
class _SQLiteTransaction(Transaction):
    database: SQLite
    statement: str
    values: Row

    def commit(self) -> Row:
        db = self.database.connect()
        try:
            (row,) = db.execute(self.statement, self.values).fetchall()
            db.commit()
            return dict(row)
        finally:
            db.close()


class Postgres(Database):
    """A PostgreSQL whose socket is in the folder `host`. Each transaction has a connection of its own."""

    def __init__(self, host: Path) -> None:
        self.host = host
        with self.connect() as db:
            db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            db.execute(ROWS)
            db.execute(COUNTER)

    def connect(self) -> "psycopg.Connection[Row]":
        return psycopg.connect(host=str(self.host), user="postgres", row_factory=dict_row)

    def adapt(self, sample: str) -> str:
        if "pg.Client" in sample:
            return replaced(sample, "postgresql:///guestbook", f"postgresql://postgres@/postgres?host={self.host}")
        if "new PDO" in sample:
            return replaced(sample, "'sqlite:guestbook.db'", f"'pgsql:host={self.host};dbname=postgres;user=postgres'")
        if "import sqlite3" in sample:
            sample = replaced(sample, "import sqlite3", "import psycopg")
            return replaced(
                sample, 'sqlite3.connect("guestbook.db")', f'psycopg.connect(host="{self.host}", user="postgres")'
            )
        sample = replaced(sample, "sqlite3 guestbook.db", f"psql -h {self.host} -U postgres -Atc")
        return replaced(
            replaced(sample, "json_group_array(", "json_agg("), "json_object(", "json_build_object("
        )  # an aggregate of no rows would be null

    def begin(self, statement: str, **values: Any) -> Transaction:
        db = self.connect()
        row = db.execute(re.sub(r":(\w+)", r"%(\1)s", statement), values).fetchone()
        assert row is not None
        return _PostgresTransaction(db, row)

    def rows(self) -> list[Row]:
        with self.connect() as db:
            return db.execute("SELECT * FROM entries").fetchall()


@dataclass
class _PostgresTransaction(Transaction):
    connection: "psycopg.Connection[Row]"
    row: Row

    def commit(self) -> Row:
        self.connection.commit()
        self.connection.close()
        return self.row


def kind(statement: str) -> str:
    return "delete" if "deleted =" in statement else statement.split(maxsplit=1)[0].lower()


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, (old, text)
    return text.replace(old, new)


@dataclass
class Change:
    """A change that is committed at one moment and pushed at another. `after`: the earlier change of the same row."""

    statement: str
    committed: int
    pushed: int
    values: Row = field(default_factory=dict)
    after: "Change | None" = None
    transaction: Transaction | None = None
    row: Row | None = None

    def commit(self, database: Database) -> None:
        if self.after is not None:
            assert self.after.row is not None
            self.values["id"] = self.after.row["id"]
        transaction = self.transaction or database.begin(self.statement, **self.values)
        self.row = transaction.commit()


class Changes:
    """Each way in which commits and pushes can lie around the load of a page, for one change of a row and for two.

    Changes that are the only one of their row have begun before all moments, so that PostgreSQL has numbered them then.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._rng = random.Random(1)
        single = [
            Change(statement, committed, pushed, self._values(statement, f"{kind(statement)} {committed}{pushed}"))
            for statement, committed, pushed in product((INSERT, EDIT, DELETE), range(4), range(4))
            if committed <= pushed
        ]
        self._rng.shuffle(single)
        for change in single:
            change.transaction = database.begin(change.statement, **change.values)
        self._all = single + [one for statement in (EDIT, DELETE) for one in self._pairs(statement)]

    def _values(self, statement: str, text: str) -> Row:
        """A text, and a row that the page could show before."""
        values: Row = {"text": text}
        if statement != INSERT:
            values["id"] = self.database.insert("old")["id"]
        return values

    def _pairs(self, statement: str) -> list[Change]:
        """An insert, and a second change of the same row, whose pushes come in any order."""
        pairs: list[Change] = []
        for first, second, push, other in product(range(4), repeat=4):
            if first <= second and first <= push and second <= other:
                text = f"insert {first}{push}, {kind(statement)} {second}{other}"
                insert = Change(INSERT, first, push, {"text": f"only {text}"})
                pairs += [insert, Change(statement, second, other, {"text": text}, insert)]
        return pairs

    def at(self, moment: int, push: Any) -> None:
        """Commit what this moment commits, then push what it pushes, in an order left to chance."""
        for change in self._all:  # the first change of a row is before the second one
            if change.committed == moment:
                change.commit(self.database)
        due = [change for change in self._all if change.pushed == moment]
        self._rng.shuffle(due)
        for change in due:
            push(change.row)
