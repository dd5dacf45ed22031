"""Rows that no careful program writes: `cometify relay` sends them or puts them aside, and goes on."""

import sqlite3
import time
from contextlib import suppress

import pytest

from cometify.client import ABSENT
from tests.command.relay.conftest import forwarded, pushed, texts


def test_rows_that_were_kept_are_deleted_while_none_is_sent(database, server, channel, relay):
    database.add(channel, "kept")
    relay(database, server, "--once", "--keep", "1d")
    time.sleep(1.1)
    relay(database, server, "--once", "--keep", "1s")
    assert database.rows() == []


def test_bytes_in_a_row_of_sqlite_hold_nobody_up(sqlite, server, channel, relay):
    insert = "INSERT INTO cometify_outbox (identifier, text, data) VALUES (?, ?, ?)"
    for text, data in [(b"one", None), (None, b'"two"'), (b"\xff secret text", None), ("three", None)]:
        sqlite.run(insert, channel, text, data)
    sqlite.run("INSERT INTO cometify_outbox (identifier, text) VALUES (?, CAST(x'ff' AS TEXT))", channel)
    said = relay(sqlite, server)
    assert [push.text if push.data is ABSENT else push.data for push in pushed(server, channel)] == [
        "one",
        "two",
        "three",
    ]
    assert [error.partition(":")[0] for (error,) in sqlite.rows("CAST(error AS TEXT)")] == ["invalid_text"] * 2
    assert "secret text" not in said


@pytest.mark.parametrize("key", ["", " a", "\u20ac", "a\nb", "x" * 129])
def test_key_that_no_header_can_hold_is_replaced(key, sqlite, server, channel, relay):
    for text in ("one", "two"):
        sqlite.run(
            "INSERT INTO cometify_outbox (idempotency_key, identifier, text) VALUES (?, ?, ?)", key, channel, text
        )
        relay(sqlite, server)
    assert texts(server, channel) == ["one", "two"]
    assert sqlite.rows() == []


@pytest.mark.parametrize("identifier", ["7 is no name", "", "a/b", "..", "ä?"])
def test_wrong_identifier_in_doubt_is_a_dead_letter(identifier, sqlite, server, channel, relay):
    tried = time.time_ns() // 1000 - 300_000_000
    for name in (identifier, channel):
        sqlite.run(
            "INSERT INTO cometify_outbox (identifier, text, tries, first_tried_at) VALUES (?, 'hi', 1, ?)", name, tried
        )
    relay(sqlite, server)
    assert texts(server, channel) == ["hi"]
    assert [error.partition(":")[0] for (error,) in sqlite.rows("error")] == ["invalid_identifier"]


def test_no_lock_is_held_while_the_server_is_asked(sqlite, server, channel, scripted, relay):
    for minutes in (1, 5):
        tried = time.time_ns() // 1000 - minutes * 60_000_000
        sqlite.run(
            "INSERT INTO cometify_outbox (identifier, text, tries, first_tried_at) VALUES (?, 'hi', 1, ?)",
            channel,
            tried,
        )
    written = []

    def script(served):
        while True:
            request = served.request()
            db = sqlite3.connect(sqlite.path, timeout=0)
            with suppress(sqlite3.OperationalError):
                db.execute(f"CREATE TABLE orders_{len(written)} (id integer)")
                written.append(request.method)
            db.close()
            answer = forwarded(server, request)
            served.answer(answer.status, answer.body)

    relay(sqlite, scripted(script))
    assert written == ["POST", "GET", "POST"]
    assert texts(server, channel) == ["hi", "hi"]


def test_row_of_sqlite_without_a_readable_time_is_sent(sqlite, server, channel, relay):
    sqlite.run("INSERT INTO cometify_outbox (identifier, text, created_at) VALUES (?, 'hi', 'yesterday')", channel)
    relay(sqlite, server)
    assert (texts(server, channel), sqlite.rows()) == (["hi"], [])


def test_any_number_of_dead_letters_is_sent_again(postgres, server, channel, relay):
    postgres.run(
        "INSERT INTO cometify_outbox (identifier, text, dead_at) SELECT ?, '', now() FROM generate_series(1, 66000)",
        channel,
    )
    assert relay(postgres, server, "--again", "all") == "66000 rows wait to be sent again.\n"
    assert postgres.rows("dead_at") == [(None,)] * 66_000


@pytest.mark.parametrize("wanted", ["sent_at IS NULL AND dead_at IS NOT NULL", "sent_at <= '2026-01-01'"])
def test_rows_that_are_kept_make_no_periodic_statement_slow(wanted, sqlite):
    (plan,) = sqlite.run(f"EXPLAIN QUERY PLAN SELECT count(*) FROM cometify_outbox WHERE {wanted}")  # noqa: S608
    assert " USING " in plan[3]
