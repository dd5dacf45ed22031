"""`outbox.add` in the transaction of the application, with each database and each way to run SQL."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pymysql
import pytest
import sqlalchemy
from psycopg.rows import class_row, dict_row, namedtuple_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from cometify.client import ABSENT, CometifyError, outbox
from tests.client.outbox.databases import MySQL, Postgres, SQLite
from tests.conftest import PYTHONPATH

LISTENER = "0123456789abcdef"
PUSH = {"data": {"id": 7}, "secret": True, "event": "paid", "except_": LISTENER}
COLUMNS = "identifier, text, data, secret, event, except_listener, tries, first_tried_at, sent_at, dead_at"
ROW = ("orders", None, '{"id":7}', 1, "paid", LISTENER, 0, None, None, None)


@contextmanager
def transaction(database):
    """A transaction of SQLAlchemy in a database of these tests. All of its connections are closed at the end."""
    scheme, rest = database.url.split(":", 1)
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[scheme]
    engine = sqlalchemy.create_engine(f"{driver}:{rest}", poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def test_row_holds_the_push(database):
    row = database.add("orders", **PUSH)
    assert database.rows(COLUMNS) == [ROW]
    ((found, key, age),) = database.rows(f"id, idempotency_key, {AGE[database.dialect]}")
    assert found == row
    assert len(key) == 32
    assert 0 <= age < 60


AGE = {
    "sqlite": "(julianday('now') - julianday(created_at)) * 86400",
    "postgresql": "extract(epoch FROM clock_timestamp() - created_at)",
    "mysql": "TIMESTAMPDIFF(SECOND, created_at, NOW(6))",
}


def test_row_is_rolled_back_with_its_transaction(database):
    db = database.connect()
    outbox.add(db, "chat", "never")
    db.rollback()
    db.close()
    assert database.rows() == []


def test_ids_grow_and_keys_differ(database):
    ids = [database.add("chat", str(number)) for number in range(3)]
    assert ids == sorted(set(ids))
    assert len({key for (key,) in database.rows("idempotency_key")}) == 3


def test_id_is_never_given_again(database):
    first = database.add("chat", "one")
    database.run("DELETE FROM cometify_outbox")
    assert database.add("chat", "two") > first


def test_cursor_is_an_executor(database):
    db = database.connect()
    row = outbox.add(db.cursor(), "orders", **PUSH)
    db.commit()
    db.close()
    assert database.rows("id") == [(row,)]


def test_sqlalchemy_session_is_an_executor(database):
    with transaction(database) as connection, Session(connection) as session:
        row = outbox.add(session, "orders", **PUSH)
        session.commit()
    assert database.rows(f"id, {COLUMNS}") == [(row, *ROW)]


def test_sqlalchemy_connection_makes_the_table(database):
    database.run("DROP TABLE cometify_outbox")
    with transaction(database) as connection:
        outbox.create_table(connection)
        outbox.add(connection, "orders", **PUSH)
        with connection.begin_nested() as savepoint:
            outbox.add(connection, "chat", "never committed")
            savepoint.rollback()
    assert database.rows(COLUMNS) == [ROW]


@dataclass
class Returned:
    """A row as an object, which `class_row` of psycopg makes."""

    id: int


@pytest.mark.parametrize("rows", [dict_row, namedtuple_row, class_row(Returned)])
def test_any_kind_of_row_will_do(rows, postgres):
    with psycopg.connect(host=str(postgres.host), user="postgres", row_factory=rows) as db:
        row = outbox.add(db, "chat", "hi")
    assert postgres.rows("id") == [(row,)]


@pytest.mark.parametrize("text", ["", "ä\N{GRINNING FACE}'\"%s?\\", "x" * 65_536])
def test_text_arrives_unchanged(database, text):
    database.add("chat", text)
    assert database.rows("text, data") == [(text, None)]


@pytest.mark.parametrize("data", [None, "a string", 1.5, [], {"a": [None, True, "ä\0"]}, "x" * 65_534])
def test_data_arrives_unchanged(database, data):
    database.add("chat", data=data)
    ((text, written),) = database.rows("text, data")
    assert text is None
    assert json.loads(written) == data


@pytest.mark.parametrize("content", [{"a": 1}, [], 7, True])
def test_content_that_is_no_string_is_data_as_in_push(database, content):
    database.add("chat", content)
    ((text, written),) = database.rows("text, data")
    assert text is None
    assert json.loads(written) == content


def test_table_is_made_once(database):
    database.add("chat", "stays")
    db = database.connect()
    outbox.create_table(db)
    db.commit()
    db.close()
    assert database.rows("text") == [("stays",)]


def test_plain_statement_fills_the_other_columns(database):
    database.run("INSERT INTO cometify_outbox (identifier, text) VALUES (?, ?)", "chat", "from PHP")
    ((key, secret),) = database.rows("idempotency_key, secret")
    assert len(key) == 32
    assert secret == 0


WRONG = [
    ("INSERT INTO cometify_outbox (identifier) VALUES ('chat')", "neither text nor data"),
    ("INSERT INTO cometify_outbox (identifier, text, data) VALUES ('chat', 'a', '1')", "both"),
    ("INSERT INTO cometify_outbox (identifier, text, secret) VALUES ('chat', 'a', 2)", "secret"),
]


@pytest.mark.parametrize("statement", [statement for statement, _why in WRONG], ids=[why for _statement, why in WRONG])
def test_database_refuses_a_row_that_is_no_push(database, statement):
    with pytest.raises((sqlite3.Error, psycopg.Error, pymysql.Error)):
        database.run(statement)


REFUSED = [
    ("missing_parameter", ("chat",), {}),
    ("missing_parameter", ("chat", "text"), {"data": 1}),
    ("missing_parameter", ("chat", None), {}),
    ("invalid_parameter", ("chat", float("inf")), {}),
    ("invalid_parameter", ("chat", "text"), {"secret": 2}),
    ("invalid_parameter", ("chat",), {"data": float("nan")}),
    ("invalid_parameter", ("chat",), {"data": object()}),
    ("invalid_parameter", ("chat", "text"), {"event": "two words"}),
    ("invalid_parameter", ("chat", "text"), {"except_": "short"}),
    ("invalid_identifier", ("7chat", "text"), {}),
    ("invalid_identifier", ("c" * 101, "text"), {}),
    ("invalid_identifier", ("chat\n", "text"), {}),
    ("invalid_text", ("chat", "half \ud800"), {}),
    ("invalid_text", ("chat", "nul \0"), {}),
    ("invalid_parameter", ("chat",), {"data": json.loads("[" * 61 + "]" * 61)}),
    ("invalid_parameter", ("chat",), {"data": json.loads('{"a":[' * 31 + "]}" * 31)}),
    ("text_too_long", ("chat", "ä" * 32_769), {}),
    ("text_too_long", ("chat",), {"data": "x" * 65_535}),
]


@pytest.mark.parametrize(("code", "arguments", "options"), REFUSED)
def test_push_that_the_server_would_refuse_is_refused(code, arguments, options, tmp_path):
    db = SQLite(tmp_path / "outbox.db").connect()
    with pytest.raises(CometifyError) as caught:
        outbox.add(db, *arguments, **options)
    assert caught.value.code == code
    assert db.execute("SELECT count(*) FROM cometify_outbox").fetchone() == (0,)
    db.close()


@pytest.mark.parametrize("data", [json.loads("[" * 60 + "]" * 60), [[] for _ in range(100)], "[" * 100])
def test_data_of_sixty_levels_is_added(data, tmp_path):
    database = SQLite(tmp_path / "outbox.db")
    database.add("chat", data=data)
    assert json.loads(database.rows("data")[0][0]) == data


def test_server_gives_the_same_codes(server):
    from tests.wire import API_KEY, API_SECRET

    headers = {"Authorization": f"Bearer {API_SECRET}", "Content-Type": "application/json"}
    for code, arguments, options in REFUSED:
        given = dict(options)
        if len(arguments) == 2 and arguments[1] is not None:
            given["text" if isinstance(arguments[1], str) else "data"] = arguments[1]
        if "except_" in given:
            given["except"] = given.pop("except_")
        value = given.get("data", ABSENT)
        if isinstance(value, float) or type(value) is object or "\ud800" in str(given.get("text")):
            continue  # no JSON can say it
        if "text" in given and "data" in given:
            code = "invalid_parameter"  # noqa: PLW2901 - the client has had another code for it from the beginning
        body = json.dumps([{"identifier": arguments[0], "secret": 0} | given]).encode()
        answer = server.request("POST", f"/{API_KEY}/push", body, headers)
        assert json.loads(answer.body)["code"] == code, (arguments, options)


@pytest.mark.parametrize("executor", [object(), None, "postgresql://…", json])
def test_executor_of_another_kind_is_refused(executor):
    with pytest.raises(TypeError, match="runs no SQL"):
        outbox.add(executor, "chat", "hi")


class _ForeignCursor:
    execute = fetchone = lambda self: None


def test_unknown_driver_is_refused():
    with pytest.raises(TypeError, match="insert the row yourself"):
        outbox.add(_ForeignCursor(), "chat", "hi")


def test_dialect_without_a_table_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "other.db")
    with pytest.raises(CometifyError, match="postgresql, mysql, sqlite"):
        outbox.create_table(db, "oracle")
    db.close()


def test_awaited_connection_is_told_what_to_do(postgres):

    async def add():
        connection = await psycopg.AsyncConnection.connect(host=str(postgres.host), user="postgres")
        async with connection:
            with pytest.raises(TypeError, match="insert the row yourself"):
                outbox.add(connection, "chat", "hi")
            with pytest.raises(TypeError, match="insert the row yourself"):
                outbox.add(connection.cursor(), "chat", "hi")

    asyncio.run(add())


def test_awaited_session_adds_by_run_sync(postgres):

    async def add():
        engine = create_async_engine(f"postgresql+psycopg://postgres@/postgres?host={postgres.host}")
        async with AsyncSession(engine) as session, session.begin():
            with pytest.raises(TypeError, match="run_sync"):
                outbox.add(session, "chat", "hi")
            with warnings.catch_warnings(action="error"), pytest.raises(TypeError, match="run_sync"):
                outbox.add(await session.connection(), "chat", "hi")
            row = await session.run_sync(lambda session: outbox.add(session, "orders", **PUSH))
        await engine.dispose()
        return row

    row = asyncio.run(add())
    assert postgres.rows(f"id, {COLUMNS}") == [(row, *ROW)]


DJANGO = """
import json, sys
import django
from django.conf import settings

settings.configure(DATABASES={"default": json.loads(sys.argv[1])}, USE_TZ=True)
django.setup()
from django.db import connection, transaction
from cometify.client import outbox

with transaction.atomic():
    print(outbox.add(connection, "orders", data={"id": 7}, secret=True, event="paid", except_="0123456789abcdef"))
with transaction.atomic(), connection.cursor() as cursor:
    print(outbox.add(cursor, "chat", "100 % ?"))
try:
    with transaction.atomic():
        outbox.add(connection, "chat", "never")
        raise KeyError
except KeyError:
    pass
outbox.create_table(connection)
"""


def django_settings(database):
    if isinstance(database, SQLite):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database.path)}
    if isinstance(database, Postgres):
        given = {"USER": "postgres", "NAME": "postgres", "HOST": str(database.host)}
        return {"ENGINE": "django.db.backends.postgresql", **given}
    assert isinstance(database, MySQL)
    return {"ENGINE": "django.db.backends.mysql", "USER": "root", "NAME": "test", "HOST": str(database.socket)}


def test_django_connection_is_an_executor(database):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import pymysql; pymysql.install_as_MySQLdb()\n{DJANGO}",
            json.dumps(django_settings(database)),
        ],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    orders, chat = map(int, done.stdout.split())
    assert database.rows(f"id, {COLUMNS}") == [
        (orders, *ROW),
        (chat, "chat", "100 % ?", None, 0, *[None] * 2, 0, *[None] * 3),
    ]
