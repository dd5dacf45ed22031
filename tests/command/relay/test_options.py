"""The options of `cometify relay`, and its errors."""

import sqlite3
import subprocess

import pytest
from click.testing import CliRunner

from cometify.client import outbox
from cometify.command.main import main
from tests.client.outbox.databases import SQLite


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMETIFY_URL", raising=False)

    def run(*arguments, status=0, **variables):
        result = CliRunner().invoke(main, ["relay", *arguments], env=variables)
        assert result.exit_code == status, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output

    return run


@pytest.mark.parametrize("dialect", outbox.DIALECTS)
def test_ddl_is_that_of_create_table(dialect, run):
    assert run("--ddl", dialect) == "".join(f"{statement};\n" for statement in outbox.statements(dialect))


def test_ddl_can_be_piped_into_the_database(run, tmp_path):
    path = tmp_path / "outbox.db"
    subprocess.run(["sqlite3", path], input=run("--ddl", "sqlite"), text=True, check=True)
    db = sqlite3.connect(path)
    assert outbox.add(db, "chat", "hi") == 1
    db.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("oracle://host/db", "postgresql://USER:PASSWORD@HOST/DATABASE, mysql://"),
        ("outbox.db", "sqlite:///PATH"),
        ("sqlite:///missing.db", "There is no file missing.db"),
        ("mysql://root:hidden@127.0.0.1/", "mysql://USER:PASSWORD@HOST/DATABASE"),
        ("mysql://root:hidden@127.0.0.1/db?charset=x", "ssl_ca"),
        ("mysql://root:hidden@127.0.0.1:port/db", "cannot be read"),
        ("postgresql://user:hidden@host/db?nonsense=1", "nonsense"),
        ("postgresql://user:hidden%zz@host/db", "Percent-encode"),
        ("postgresql://user:hidden x@host/db", "Percent-encode"),
        ("postgresql://user:hidden/x@host/db", "Percent-encode"),
        ("postgresql://user:x@hidden@host/db", "Percent-encode"),
        ("postgresql://user:x/y?hidden=z@host/db", "Percent-encode"),
    ],
)
def test_wrong_database_is_told(url, says, run):
    said = run(url, "--url", "http://KEY:SECRET@127.0.0.1:9", status=1)
    assert says in said
    assert "hidden" not in said


@pytest.mark.parametrize("url", ["postgresql://user:hidden@127.0.0.1:1/db", "mysql://user:hidden@127.0.0.1:1/db"])
def test_once_ends_if_the_database_is_away(url, run):
    said = run(url, "--once", "--url", "http://KEY:SECRET@127.0.0.1:9", status=1)
    assert "onnect" in said
    assert "hidden" not in said


def test_missing_table_is_told(run, tmp_path):
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    said = run("sqlite:///empty.db", "--url", "http://KEY:SECRET@127.0.0.1:9", status=1)
    assert "cometify relay --ddl sqlite" in said


def test_missing_table_is_told_of_servers(place, run):
    kind, where = place
    database = kind(where)
    database.run("DROP TABLE cometify_outbox")
    said = run(database.url, "--url", "http://KEY:SECRET@127.0.0.1:9", status=1)
    assert f"cometify relay --ddl {database.dialect}" in said


def test_database_comes_from_the_environment(run, tmp_path):
    SQLite(tmp_path / "outbox.db")
    assert run("--dead", DATABASE_URL="sqlite:///outbox.db") == ""
    assert "DATABASE_URL" in run("--dead", status=2)


@pytest.mark.parametrize("address", ["9100", "0.0.0.0:9100", "example.org:9100", "127.0.0.1:x", "127.0.0.1:99999"])
def test_metrics_are_for_this_machine_alone(address, run):
    assert "127.0.0.1:9100" in run("sqlite:///x.db", "--metrics", address, status=2)


def test_again_takes_ids(run, tmp_path):
    SQLite(tmp_path / "outbox.db")
    assert "id of a dead letter" in run("sqlite:///outbox.db", "--again", "x", status=2)
