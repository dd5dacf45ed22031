"""Real databases with an outbox, and each way of an application to write into it."""

import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from bench.rig.postgres import running_postgres
from cometify.client import outbox

_MARIADB = (
    "--no-defaults",
    "--skip-networking",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=8M",
)


class Database:
    """A database with an empty outbox. `url`: for `cometify relay`. `dialect`: of the statements."""

    dialect = ""

    def __init__(self, url: str) -> None:
        self.url = url
        db = self.connect()
        self.clear(db)
        outbox.create_table(db)
        db.commit()
        db.close()

    def connect(self) -> Any:
        raise NotImplementedError

    def clear(self, db: Any) -> None:
        cursor = db.cursor()
        cursor.execute("DROP TABLE IF EXISTS cometify_outbox")

    def run(self, statement: str, *values: object) -> list[Any]:
        """Run a statement in a transaction of its own. Placeholders are ?. Returns the rows."""
        db = self.connect()
        try:
            cursor = db.cursor()
            cursor.execute(self.adapted(statement), values)
            rows = list(cursor.fetchall()) if cursor.description else []
            db.commit()
            return rows
        finally:
            db.close()

    def adapted(self, statement: str) -> str:
        return statement.replace("?", "%s")

    def rows(self, columns: str = "*") -> list[Any]:
        return self.run(f"SELECT {columns} FROM cometify_outbox ORDER BY id")  # noqa: S608 - the tests' own columns

    def add(self, *arguments: Any, **options: Any) -> int:
        """Add a push in a transaction of its own."""
        db = self.connect()
        try:
            row = outbox.add(db, *arguments, **options)
            db.commit()
            return row
        finally:
            db.close()


class SQLite(Database):
    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"sqlite:///{path}")

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)

    def adapted(self, statement: str) -> str:
        return statement


class Postgres(Database):
    """A PostgreSQL whose socket is in a folder."""

    dialect = "postgresql"

    def __init__(self, host: Path) -> None:
        self.host = host
        super().__init__(f"postgresql://postgres@/postgres?host={host}")

    def connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(host=str(self.host), user="postgres")

    def clear(self, db: Any) -> None:
        db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


class MySQL(Database):
    """A MariaDB whose socket is in a folder."""

    dialect = "mysql"

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "socket"
        super().__init__(f"mysql://root@localhost/test?unix_socket={self.socket}")

    def connect(self) -> Any:
        return pymysql.connect(unix_socket=str(self.socket), user="root", database="test")


@contextmanager
def running_mariadb() -> Iterator[Path]:
    """Run a MariaDB during the block. Yields the folder of its socket. Root has no password, and there is a database `test`."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
    user = ["--user=root"]
    try:
        made = ["mariadb-install-db", "--no-defaults", *user, f"--datadir={folder / 'data'}"]
        quick = ["--auth-root-authentication-method=normal", "--skip-name-resolve", "--innodb-log-file-size=8M"]
        subprocess.run([*made, *quick], check=True, capture_output=True, timeout=120)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [program(), *_MARIADB, *user, f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"],
                stdout=log,
                stderr=log,
            )
        try:
            _wait(process, folder)
            yield folder
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def program() -> str:
    """The server, which Debian has outside the PATH of users."""
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    assert found is not None, "mariadbd is missing: on Debian, apt-get install mariadb-server"
    return found


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    until = time.monotonic() + 60
    while not _listens(folder / "socket"):  # PyMySQL leaves the socket of a failed connection open
        log = (folder / "log").read_text(errors="replace")[-500:]
        assert process.poll() is None, log
        assert time.monotonic() < until, log
        time.sleep(0.05)
    db = pymysql.connect(unix_socket=str(folder / "socket"), user="root")
    db.cursor().execute("CREATE DATABASE IF NOT EXISTS test")
    db.close()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


@contextmanager
def running(kind: type[Database], folder: Path) -> Iterator[Path]:
    """Run the server of a kind of database. Yields what its class takes."""
    if kind is Postgres:
        with running_postgres() as host:
            yield host
    elif kind is MySQL:
        with running_mariadb() as host:
            yield host
    else:
        yield folder / "outbox.db"
