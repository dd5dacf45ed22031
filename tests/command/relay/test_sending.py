"""`cometify relay` sends the rows of an outbox in order, once, and puts the wrong ones aside."""

import json
import os
import time
import urllib.request
from contextlib import suppress

import psycopg
import pytest

from bench.rig.ports import free_port
from cometify.client import outbox
from cometify.command.relay.databases import open_table
from tests.client.scripted import answering, once, problem
from tests.command.relay.conftest import forwarding, pushed, texts
from tests.wire import API_KEY

WITHIN = 60
"""Seconds after which something counts as not happening, on a busy machine too."""


def wait_until(condition):
    until = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_rows_are_pushed_in_order_and_deleted(database, server, channel, relay):
    other = f"{channel}_other"
    rows = [database.add(channel if number % 3 else other, str(number)) for number in range(230)]
    relay(database, server)
    assert texts(server, channel) == [str(number) for number in range(230) if number % 3]
    assert texts(server, other) == [str(number) for number in range(230) if not number % 3]
    assert [push.push_id for push in pushed(server, other)] == rows[::3]
    assert database.rows() == []


def test_push_has_everything_of_its_row(database, server, channel, relay):
    database.add(channel, data={"id": 7}, secret=True, event="paid", except_="0123456789abcdef")
    raw = '{"amount": 12345678901234567890.10, "ä": "\\u0000"}'
    database.run("INSERT INTO cometify_outbox (identifier, data) VALUES (?, ?)", channel, raw)
    relay(database, server)
    first, second = pushed(server, channel)
    assert (first.data, first.secret, first.event) == ({"id": 7}, True, "paid")
    assert (second.secret, second.event) == (False, None)
    listen = {"groups": [{"identifiers": [channel], "position": first.position - 1}]}
    assert b'"data":{"amount":12345678901234567890.10,' in server.poll(listen).body


def test_sent_rows_can_be_kept_for_a_time(database, server, channel, relay):
    database.add(channel, "kept")
    relay(database, server, "--once", "--keep", "1d")
    relay(database, server, "--once", "--keep", "1d")
    assert texts(server, channel) == ["kept"]
    ((sent,),) = database.rows("sent_at")
    assert sent is not None
    time.sleep(1.1)
    database.add(channel, "the next")
    relay(database, server, "--once", "--keep", "1s")
    assert database.rows("text") == [("the next",)]


def test_late_commit_holds_nobody_up(postgres, server, channel, relay):
    late = postgres.connect()
    outbox.add(late, channel, "numbered first")
    postgres.add(channel, "committed first")
    relay(postgres, server)
    assert texts(server, channel) == ["committed first"]
    late.commit()
    late.close()
    relay(postgres, server)
    assert texts(server, channel) == ["committed first", "numbered first"]


def test_row_that_somebody_has_locked_is_passed_over(postgres, server, channel, relay):
    row = postgres.add(f"{channel}_locked", "later")
    postgres.add(channel, "now")
    with postgres.connect() as person:
        person.execute("SELECT 1 FROM cometify_outbox WHERE id = %s FOR UPDATE", (row,))
        relay(postgres, server)
        assert texts(server, channel) == ["now"]
    relay(postgres, server)
    assert texts(server, f"{channel}_locked") == ["later"]


def test_running_relay_sends_new_rows(database, server, channel, start):
    program = start(database, server)
    program.error("owns the outbox")
    for number in range(3):
        database.add(channel, str(number))
        wait_until(lambda number=number: len(texts(server, channel)) == number + 1)
    assert program.end(15) == 0
    assert database.rows() == []


def test_trigger_wakes_the_relay(postgres, server, channel, start):
    program = start(postgres, server)
    program.error("owns the outbox")
    with postgres.connect() as db:
        db.execute("LISTEN cometify_outbox")
        db.commit()
        postgres.add(channel, "hi")
        assert [found.channel for found in db.notifies(timeout=WITHIN, stop_after=1)] == ["cometify_outbox"]
    wait_until(lambda: texts(server, channel) == ["hi"])


def test_notification_that_came_with_an_answer_is_not_missed(postgres, channel):
    table = open_table(postgres.url)
    try:
        table.commit()
        postgres.add(channel, "hi")
        table.ping()  # its answer brings the notification
        reader, writer = os.pipe()
        began = time.monotonic()
        table.wait(60, reader)
        assert time.monotonic() - began < 30
        os.close(reader)
        os.close(writer)
    finally:
        table.close()


def test_rows_come_without_the_trigger_too(postgres, server, channel, start):
    postgres.run("DROP TRIGGER cometify_outbox_notify ON cometify_outbox")
    start(postgres, server).error("owns the outbox")
    postgres.add(channel, "hi")
    wait_until(lambda: texts(server, channel) == ["hi"])


BAD = [
    ("INSERT INTO cometify_outbox (identifier, text) VALUES ('7 is no name', 'x')", "invalid_identifier"),
    ("INSERT INTO cometify_outbox (identifier, data) VALUES ('bad_json', '{\"a\": NaN}')", "invalid_parameter"),
    (
        "INSERT INTO cometify_outbox (identifier, data) VALUES ('bad_json', '1}, {\"identifier\": \"x\"')",
        "invalid_parameter",
    ),
    ("INSERT INTO cometify_outbox (identifier, text, event) VALUES ('bad_event', 'x', 'no name')", "invalid_parameter"),
]


def test_refused_rows_are_dead_letters(database, server, channel, relay):
    for number in range(120):
        database.add(channel, str(number))
        if number % 30 == 5:
            database.run(BAD[number // 30][0])
    relay(database, server)
    assert texts(server, channel) == [str(number) for number in range(120)]
    found = database.rows("error, dead_at, first_tried_at")
    assert [error.partition(":")[0] for error, _dead, _tried in found] == [code for _statement, code in BAD]
    assert all(dead is not None and tried is None for _error, dead, tried in found)


def test_identifier_goes_on_after_its_dead_letter(sqlite, server, channel, relay):
    sqlite.add(channel, "before")
    sqlite.run("INSERT INTO cometify_outbox (identifier, text) VALUES (?, ?)", channel, "x" * 65_537)
    sqlite.add(channel, "after")
    relay(sqlite, server)
    assert texts(server, channel) == ["before", "after"]
    assert sqlite.rows("error")[0][0].startswith("text_too_long")


def test_dead_letters_are_shown_and_sent_again(database, server, channel, relay):
    database.run("INSERT INTO cometify_outbox (identifier, data) VALUES (?, ?)", channel, "no JSON")
    database.run("INSERT INTO cometify_outbox (identifier, data) VALUES (?, ?)", channel, "not either")
    relay(database, server)
    (first, _), (second, _) = database.rows("id, error")
    shown = relay(database, server, "--dead")
    assert shown.startswith(f"{first} {channel} invalid_parameter: ")
    as_json = relay(database, server, "--dead", "--json")
    assert json.loads(as_json.splitlines()[0])["identifier"] == channel
    database.run("UPDATE cometify_outbox SET data = ?", '"fixed"')
    assert relay(database, server, "--again", str(second)) == "1 rows wait to be sent again.\n"
    relay(database, server)
    assert [push.push_id for push in pushed(server, channel)] == [second]
    relay(database, server, "--again", "all")
    relay(database, server)
    assert [push.data for push in pushed(server, channel)] == ["fixed", "fixed"]
    relay(database, server, "--again", str(first), status=1)


def test_wrong_key_makes_no_dead_letter(database, server, channel, start):
    database.add(channel, "waits")
    program = start(database, server, "--url", f"http://{API_KEY}:wrong@127.0.0.1:{server.port}")
    assert program.end() == 3
    program.error("No row is lost")
    assert database.rows("text, dead_at, first_tried_at") == [("waits", None, None)]


def test_rows_wait_for_a_server_that_is_away(sqlite, make_server, channel, start):
    server = make_server()
    server.stop()
    for number in range(3):
        sqlite.add(channel, str(number))
    program = start(sqlite, server)
    program.error("cannot be reached")
    assert sqlite.rows("first_tried_at") == [(None,)] * 3  # it was not sent, so there is no doubt
    server.start()
    wait_until(lambda: texts(server, channel) == ["0", "1", "2"])


def test_once_ends_if_the_server_is_away(sqlite, channel, scripted, relay):
    sqlite.add(channel, "waits")
    server = scripted(once(503, problem("draining"), Retry_After="60"))
    relay(sqlite, server, status=4)
    assert sqlite.rows("text, first_tried_at") == [("waits", None)]


@pytest.mark.parametrize("status", [400, 413, 502])
def test_answers_of_a_proxy_lose_nothing(status, sqlite, server, scripted, channel, relay):
    sqlite.add(channel, "waits")
    relay(sqlite, scripted(answering(status, b"<html>")), status=0 if status == 413 else 4)
    assert len(sqlite.rows()) == 1
    if status == 413:
        relay(sqlite, server, "--again", "all")
    relay(sqlite, server)
    assert texts(server, channel) == ["waits"]


def test_batch_above_the_burst_is_made_smaller(sqlite, make_server, channel, relay):
    server = make_server({"pushes_per_second": 1000, "push_burst": 7})
    for number in range(60):
        sqlite.add(channel, str(number))
    until = time.monotonic() + WITHIN
    while sqlite.rows() and time.monotonic() < until:
        with suppress(AssertionError):  # the account may have to wait
            relay(sqlite, server)
    assert texts(server, channel) == [str(number) for number in range(60)]


def test_lost_session_is_replaced(postgres, server, channel, start):
    program = start(postgres, server)
    program.error("owns the outbox")
    with psycopg.connect(host=str(postgres.host), user="postgres", autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cometify relay'"
        )
    program.error("The database is away")
    postgres.add(channel, "hi")
    wait_until(lambda: texts(server, channel) == ["hi"])


def test_metrics_count_rows(postgres, server, channel, start):
    port = free_port()
    postgres.run("INSERT INTO cometify_outbox (identifier, data) VALUES (?, ?)", channel, "no JSON")
    for number in range(3):
        postgres.add(channel, str(number))
    program = start(postgres, server, "--metrics", f"127.0.0.1:{port}")
    wait_until(lambda: len(texts(server, channel)) == 3)

    def metrics():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return answer.read().decode()

    wait_until(lambda: "cometify_relay_dead_rows 1.0" in metrics())
    wait_until(lambda: 'cometify_relay_rows_total{result="sent"} 3.0' in metrics())
    found = metrics()
    assert 'cometify_relay_rows_total{result="dead"} 1.0' in found
    assert "cometify_relay_delay_seconds_count 3.0" in found
    assert "cometify_relay_waiting_rows 0.0" in found
    assert "cometify_relay_owner 1.0" in found
    assert program.end(15) == 0


def test_requests_are_signed_with_bearer_in_the_url_too(sqlite, server, scripted, channel, start):
    sqlite.add(channel, "hi")
    between = scripted(forwarding(server))
    assert start(sqlite, server, "--once", "--url", f"{between.url}?bearer=1").end() == 0
    assert texts(server, channel) == ["hi"]
    assert all("authorization" not in request.headers for request in between.requests)
