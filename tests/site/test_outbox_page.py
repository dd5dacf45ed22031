"""The statements and recipes of docs/outbox.md: they are those of the package, and each is run as it stands."""

import json
import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from bench.rig.postgres import running_postgres
from cometify.client import outbox
from tests.client.outbox.databases import Postgres, SQLite

PAGE = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text("utf-8")
COLUMNS = "identifier, text, data, secret"
PUSH = ("orders", None, {"id": 7, "state": "paid"}, 1)


@pytest.fixture
def postgres():
    with running_postgres() as host:
        yield Postgres(host)


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def read(rows):
    return [(identifier, text, data and json.loads(data), secret) for identifier, text, data, secret in rows]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tables_are_those_of_the_package():
    shown = blocks("sql")[1:]
    assert shown == ["".join(f"{one};\n" for one in outbox.statements(dialect)) for dialect in outbox.DIALECTS]


def test_plain_statement_adds_a_push(postgres, tmp_path):
    for database in (postgres, SQLite(tmp_path / "outbox.db")):
        database.run(blocks("sql")[0])
        assert database.rows(COLUMNS) == [("orders", "Order 7 is paid", None, 0)]


def test_python_recipe_commits_both(postgres):
    postgres.run("CREATE TABLE orders (id integer, state text)")
    postgres.run("INSERT INTO orders VALUES (7, 'new')")
    with psycopg.connect(host=str(postgres.host), user="postgres") as connection:
        exec(compile(blocks("python")[0], "recipe", "exec"), {"connection": connection})  # noqa: S102 - it is ours
    assert read(postgres.rows(COLUMNS)) == [PUSH]
    assert postgres.run("SELECT * FROM orders") == [(7, "paid")]


def test_php_recipe_commits_both(tmp_path):
    database = SQLite(tmp_path / "outbox.db")
    database.run("CREATE TABLE orders (id integer, state text)")
    database.run("INSERT INTO orders VALUES (7, 'new')")
    run("php", "-r", f"$db = new PDO('{database.path.as_uri().replace('file://', 'sqlite:')}');\n{blocks('php')[0]}")
    assert read(database.rows(COLUMNS)) == [PUSH]
    assert database.run("SELECT * FROM orders") == [(7, "paid")]


def test_node_recipe_commits_both(postgres, tmp_path):
    postgres.run("CREATE TABLE orders (id integer, state text)")
    postgres.run("INSERT INTO orders VALUES (7, 'new')")
    script = tmp_path / "recipe.mjs"
    client = "const client = { query: async (...given) => { console.log(JSON.stringify(given)); } };\n"
    script.write_text(client + blocks("js")[0])
    with psycopg.connect(host=str(postgres.host), user="postgres", autocommit=True) as db:
        for line in run("node", str(script)).splitlines():
            statement, *values = json.loads(line)
            db.execute(re.sub(r"\$\d", "%s", statement), *values)
    assert read(postgres.rows(COLUMNS)) == [PUSH]
    assert postgres.run("SELECT * FROM orders") == [(7, "paid")]
