"""The table that the migration of Django makes, in each database, and the pushes that Django writes into it."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cometify.command.main import main
from tests.client.outbox.databases import MySQL, Postgres, SQLite, running
from tests.conftest import PYTHONPATH

DJANGO = """
import json, sys
import pymysql
pymysql.install_as_MySQLdb()
import django
from django.conf import settings

settings.configure(
    DATABASES={"default": json.loads(sys.argv[1])},
    INSTALLED_APPS=["cometify.django"],
    USE_TZ=True,
    COMETIFY_URL="https://key:secret@push.example.org",
)
django.setup()
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from cometify.client import CometifyError
from cometify.django import outbox
from cometify.django.models import OutboxPush
"""
MIGRATE = """
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
call_command("sqlmigrate", "cometify", "0001")
call_command("migrate", verbosity=0)
"""
BACK_AND_FORTH = """
call_command("migrate", "cometify", "zero", verbosity=0)
call_command("migrate", verbosity=0)
"""
ADD = """
with transaction.atomic():
    row = outbox.add("orders", data={"id": 7}, secret=True, event="paid", except_="0123456789abcdef")
    outbox.add("chat", "100 % ?")
for wrong in ({"content": None}, {"content": "never", "data": 1}):
    try:
        with transaction.atomic():
            outbox.add("chat", "never")
            outbox.add("chat", **wrong)
    except CometifyError as error:
        print(error.code)
try:
    outbox.add("chat", "never")
except transaction.TransactionManagementError as error:
    print(error)
first, second = OutboxPush.objects.order_by("id")
print(first, first.data, first.secret, first.event, first.except_listener, first.pk == row)
print(second.text, second.tries, second.sent_at, second.dead_at, len(first.idempotency_key), second.next_try_at)
assert abs((timezone.now() - first.created_at).total_seconds()) < 600, first.created_at
own = OutboxPush.objects.create(idempotency_key="own", identifier="chat", text="written by the model")
own.refresh_from_db()
assert abs((timezone.now() - own.created_at).total_seconds()) < 600, own.created_at
assert OutboxPush.objects.filter(dead_at=None).count() == 3
OutboxPush.objects.filter(pk=own.pk).update(dead_at=timezone.now(), error="must_be_secret")
assert [push.error for push in OutboxPush.objects.exclude(dead_at=None)] == ["must_be_secret"]
"""
TWO = """
call_command("migrate", verbosity=0)
with transaction.atomic():
    print(outbox.add("relayed_orders", data={"id": 7}, secret=True, event="paid"))
    outbox.add("relayed_orders", "100 % ?")
"""


@pytest.fixture(params=[SQLite, Postgres, MySQL], ids=lambda kind: kind.dialect)
def database(request, tmp_path):
    """A database with an empty outbox, made by `create_table`."""
    with running(request.param, tmp_path) as where:
        yield request.param(where)


def settings_of(database):
    match database:
        case SQLite():
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(database.path)}
        case Postgres():
            given = {"USER": "postgres", "NAME": "postgres", "HOST": str(database.host)}
            return {"ENGINE": "django.db.backends.postgresql", **given}
        case MySQL():
            return {"ENGINE": "django.db.backends.mysql", "USER": "root", "NAME": "test", "HOST": str(database.socket)}


def django(database, code):
    command = [sys.executable, "-c", DJANGO + code, json.dumps(settings_of(database))]
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def schema(database):
    """All that the database says of the table, its defaults, indexes, checks and triggers."""
    match database:
        case SQLite():
            return database.run(
                "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = 'cometify_outbox' ORDER BY name"
            )
        case MySQL():
            return database.run("SHOW CREATE TABLE cometify_outbox")
        case Postgres():
            return [
                database.run(
                    "SELECT column_name, data_type, is_nullable, column_default, is_identity, identity_generation "
                    "FROM information_schema.columns WHERE table_name = 'cometify_outbox' ORDER BY ordinal_position"
                ),
                database.run(
                    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'cometify_outbox' ORDER BY 1"
                ),
                database.run(
                    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                    "WHERE conrelid = 'cometify_outbox'::regclass ORDER BY 1"
                ),
                database.run(
                    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'cometify_outbox'::regclass"
                ),
            ]


def test_migration_makes_the_table_of_the_outbox(database):
    expected = schema(database)
    database.run("DROP TABLE cometify_outbox")
    statements = django(database, MIGRATE)
    assert schema(database) == expected
    assert "CREATE TABLE IF NOT EXISTS cometify_outbox" in statements
    django(database, BACK_AND_FORTH)
    assert schema(database) == expected


def test_pushes_are_written_and_read_by_django(database):
    printed = django(database, f'call_command("migrate", verbosity=0)\n{ADD}').splitlines()
    *_refused, outside, first, second = printed
    assert printed[:2] == ["missing_parameter"] * 2
    assert "with transaction.atomic():" in outside
    number = database.rows("id")[0][0]
    assert first == f'push {number} to orders {{"id":7}} 1 paid 0123456789abcdef True'
    assert second == "100 % ? 0 None None 32 None"
    texts = [text for (text,) in database.rows("text")]
    assert texts == [None, "100 % ?", "written by the model"]


def test_relay_sends_the_pushes_of_django(database, url, client):
    database.run("DROP TABLE cometify_outbox")  # the migration makes the table
    since = client.position()
    row = int(django(database, TWO))
    done = CliRunner().invoke(main, ["relay", database.url, "--once"], env={"COMETIFY_URL": url})
    assert done.exit_code == 0, done.output
    first, second = client.pushes("relayed_orders", after=since).pushes
    assert (first.push_id, first.data, first.secret, first.event) == (row, {"id": 7}, True, "paid")
    assert (second.text, second.secret) == ("100 % ?", False)
    assert database.rows("id") == []
