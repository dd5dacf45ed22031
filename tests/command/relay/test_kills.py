"""A relay that is killed or stopped at the worst moment loses no row, and pushes none twice."""

import signal
import threading
import time

import psycopg
import pytest

from tests.client.scripted import answering, problem
from tests.command.relay.conftest import forwarded, forwarding, pushed, texts
from tests.command.relay.test_sending import wait_until


class Killer:
    """Kills a relay in the middle of a push, before or after the server has it."""

    def __init__(self) -> None:
        self.program = None
        self.ready = threading.Event()

    def __call__(self) -> None:
        assert self.ready.wait(60)
        self.program.process.kill()
        self.program.process.wait()


def run_and_kill(start, scripted, database, server, when):
    killer = Killer()
    between = scripted(forwarding(server, **{when: killer}))
    killer.program = start(database, between)
    killer.ready.set()
    killer.program.process.wait(60)
    return between


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_relay_pushes_each_row_once(when, database, server, scripted, channel, start, relay):
    rows = [database.add(f"{channel}_{number % 2}", str(number)) for number in range(150)]
    run_and_kill(start, scripted, database, server, when)
    assert len([1 for (tried,) in database.rows("first_tried_at") if tried is not None]) == 100
    database.add(f"{channel}_0", "added meanwhile")
    relay(database, server)
    found = [push.push_id for number in range(2) for push in pushed(server, f"{channel}_{number}")]
    assert found == [*rows[::2], rows[-1] + 1, *rows[1::2]]
    assert database.rows() == []


def test_repeated_request_is_the_same_one(sqlite, server, scripted, channel, start, relay):
    for number in range(3):
        sqlite.add(channel, str(number))
    between = run_and_kill(start, scripted, sqlite, server, "after")
    sqlite.add(channel, "3")
    relay(sqlite, between)
    first, again, rest = [request for request in between.requests if request.method == "POST"]
    assert (first.body, first.headers["idempotency-key"]) == (again.body, again.headers["idempotency-key"])
    assert [push["text"] for push in rest.json] == ["3"]


def test_key_of_a_single_row_is_its_own(sqlite, scripted, channel, server, relay):
    sqlite.add(channel, "one")
    ((key,),) = sqlite.rows("idempotency_key")
    between = scripted(forwarding(server))
    relay(sqlite, between)
    assert [request.headers["idempotency-key"] for request in between.requests] == [key]


def test_signature_is_not_younger_than_the_claim(sqlite, scripted, channel, start):
    sqlite.add(channel, "hi")
    killer = Killer()
    server = scripted(lambda served: (served.request(), killer()))
    killer.program = start(sqlite, server)
    killer.ready.set()
    killer.program.process.wait(60)
    ((tried,),) = sqlite.rows("first_tried_at")
    assert [int(request.headers["cometify-timestamp"]) for request in server.requests] == [tried // 1_000_000]


def age(database, minutes):
    database.run("UPDATE cometify_outbox SET first_tried_at = first_tried_at - ?", minutes * 60_000_000)


@pytest.mark.parametrize("minutes", [5, 30])
def test_old_rows_that_are_kept_are_not_pushed_again(minutes, database, server, scripted, channel, start, relay):
    for number in range(10):
        database.add(f"{channel}_{number % 3}", str(number))
    database.add(channel, data={"a": [1.5, None]})
    run_and_kill(start, scripted, database, server, "after")
    age(database, minutes)
    for row, key in database.rows("id, idempotency_key"):  # the server would not know them
        database.run("UPDATE cometify_outbox SET idempotency_key = ? WHERE id = ?", f"x{key[1:]}", row)
    relay(database, server)
    assert sorted(texts(server, f"{channel}_{number}")[0] for number in range(3)) == ["0", "1", "2"]
    assert sum(len(pushed(server, f"{channel}_{number}")) for number in range(3)) == 10
    assert len(pushed(server, channel)) == 1
    assert database.rows() == []


def test_old_row_of_an_unknown_fate_is_a_dead_letter(sqlite, server, scripted, channel, start, relay):
    sqlite.add(channel, "nobody knows")
    killer = Killer()
    killer.program = start(sqlite, scripted(lambda served: (served.request(), killer())))
    killer.ready.set()
    killer.program.process.wait(60)
    age(sqlite, 60)  # the memory of the server begins later
    sqlite.add(channel, "goes on")
    relay(sqlite, server)
    assert "goes on" in texts(server, channel)
    ((error,),) = sqlite.rows("error")
    assert error.startswith("maybe_pushed: ")


def lists(pushes, *, gap):
    """A server that keeps these pushes, and takes all others."""

    def script(served):
        while True:
            request = served.request()
            if request.method == "GET":
                served.answer(200, {"pushes": pushes, "gap": gap, "next": None})
            else:
                served.answer(200, [answer_to(push) for push in request.json])

    return script


def answer_to(push):
    return {"identifier": push["identifier"], "push_id": push["push_id"], "position": 1764000000000000, "listeners": 0}


def frame(row, text):
    return {"identifier": "chat", "push_id": row, "text": text, "position": 1764000000000000, "secret": 0}


def claimed(database, count, minutes):
    """Rows that a relay has claimed so many minutes ago."""
    rows = [database.add("chat", str(number)) for number in range(count)]
    tried = time.time_ns() // 1000 - minutes * 60_000_000
    database.run("UPDATE cometify_outbox SET tries = 1, first_tried_at = ?", tried)
    return rows


def posted(server):
    return [[push["text"] for push in request.json] for request in server.requests if request.method == "POST"]


def test_old_rows_that_were_not_pushed_are_sent(sqlite, scripted, relay):
    claimed(sqlite, 3, 30)
    server = scripted(lists([], gap=False))
    relay(sqlite, server)
    assert [text for texts in posted(server) for text in texts] == ["0", "1", "2"]
    assert sqlite.rows() == []


def test_only_the_missing_rows_of_a_batch_are_sent(sqlite, scripted, relay):
    first, _second, third = claimed(sqlite, 3, 30)
    server = scripted(lists([frame(first, "0"), frame(third, "2")], gap=False))
    relay(sqlite, server)
    assert posted(server) == [["1"]]


def test_gap_of_one_identifier_kills_only_its_rows(sqlite, scripted, relay):
    for identifier in ("chat", "quiet"):
        sqlite.add(identifier, identifier)
    sqlite.run("UPDATE cometify_outbox SET tries = 1, first_tried_at = ?", time.time_ns() // 1000 - 1800 * 1_000_000)

    def script(served):
        while True:
            request = served.request()
            if request.method == "GET":
                served.answer(200, {"pushes": [], "gap": "/chat/" in request.target, "next": None})
            else:
                served.answer(200, [answer_to(push) for push in request.json])

    server = scripted(script)
    relay(sqlite, server)
    assert posted(server) == [["quiet"]]
    assert [(text, error[:12]) for text, error in sqlite.rows("text, error")] == [("chat", "maybe_pushed")]


def test_other_push_with_the_same_id_is_no_proof(sqlite, scripted, relay):
    (row,) = claimed(sqlite, 1, 30)
    server = scripted(lists([frame(row, "of somebody else")], gap=False))
    relay(sqlite, server)
    assert posted(server) == [["0"]]


def test_kept_pushes_are_read_from_before_the_first_try(sqlite, scripted, relay):
    claimed(sqlite, 1, 30)
    ((tried,),) = sqlite.rows("first_tried_at")
    server = scripted(lists([], gap=False))
    relay(sqlite, server)
    (asked,) = [request.target for request in server.requests if request.method == "GET"]
    assert int(asked.partition("after=")[2]) == tried - 60_000_000


@pytest.mark.parametrize(("minutes", "gap", "asked"), [(3, True, 0), (5, True, 1), (8, False, 1)])
def test_rows_are_repeated_while_the_server_knows_the_key(minutes, gap, asked, sqlite, scripted, relay):
    claimed(sqlite, 3, minutes)
    server = scripted(lists([], gap=gap))
    relay(sqlite, server)
    assert posted(server) == [["0", "1", "2"]]
    assert len([request for request in server.requests if request.method == "GET"]) == asked


def test_rows_wait_while_an_earlier_request_can_arrive(sqlite, scripted, relay):
    claimed(sqlite, 1, 10)
    sqlite.run("UPDATE cometify_outbox SET next_try_at = ?", time.time_ns() // 1000)
    server = scripted(lists([], gap=False))
    relay(sqlite, server, status=4)
    assert posted(server) == []
    assert sqlite.rows("dead_at") == [(None,)]


def test_doubtful_batch_holds_only_its_identifiers(sqlite, server, scripted, channel, start):
    failures = [3]

    def script(served):
        while True:
            request = served.request()
            if f"{channel}_slow" in request.body.decode() and failures[0]:
                failures[0] -= 1
                forwarded(server, request)
                served.answer(500, b"<html>")
            else:
                served.answer(200, forwarded(server, request).body)

    sqlite.add(f"{channel}_slow", "0")
    between = scripted(script)
    start(sqlite, between)
    wait_until(lambda: failures[0] < 3)
    sqlite.add(f"{channel}_SLOW", "1")
    sqlite.add(channel, "quick")
    wait_until(lambda: texts(server, channel) == ["quick"])
    wait_until(lambda: texts(server, f"{channel}_slow") == ["0", "1"])


def test_second_relay_waits_and_takes_over(database, server, channel, start):
    first = start(database, server)
    first.error("owns the outbox")
    second = start(database, server)
    second.error("Another relay owns the outbox")
    database.add(channel, "0")
    wait_until(lambda: texts(server, channel) == ["0"])
    first.end(signal.SIGKILL)
    second.error("owns the outbox, and sends")
    database.add(channel, "1")
    wait_until(lambda: texts(server, channel) == ["0", "1"])


def test_stopped_relay_that_wakes_pushes_nothing_twice(postgres, server, scripted, channel, start):
    stopped = threading.Event()

    def stop():
        if not stopped.is_set():
            first.process.send_signal(signal.SIGSTOP)
            stopped.set()

    between = scripted(forwarding(server, after=stop))
    first = start(postgres, between)
    first.error("owns the outbox")
    for number in range(3):
        postgres.add(channel, str(number))
    assert stopped.wait(60)
    with psycopg.connect(host=str(postgres.host), user="postgres", autocommit=True) as admin:
        # The database does this by itself after a minute.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cometify relay'"
        )
    second = start(postgres, server)
    second.error("owns the outbox")
    wait_until(lambda: not postgres.rows())
    first.process.send_signal(signal.SIGCONT)
    first.error("The database is away")
    first.error("Another relay owns the outbox")
    assert texts(server, channel) == ["0", "1", "2"]


def test_refusal_of_a_doubtful_batch_ends_the_doubt(sqlite, scripted, relay):
    claimed(sqlite, 1, 1)
    relay(sqlite, scripted(answering(429, problem("too_many_pushes"))), status=4)
    assert sqlite.rows("first_tried_at, dead_at") == [(None, None)]


def test_wrong_key_does_not_end_the_doubt(sqlite, scripted, relay):
    claimed(sqlite, 1, 1)
    ((tried,),) = sqlite.rows("first_tried_at")
    relay(sqlite, scripted(answering(403, problem("not_authorized"))), status=3)
    assert sqlite.rows("first_tried_at, dead_at") == [(tried, None)]


def test_refused_rows_in_doubt_are_looked_for(sqlite, scripted, relay):
    first, second = claimed(sqlite, 2, 1)

    def script(served):
        while True:
            request = served.request()
            if request.method == "GET":
                served.answer(200, {"pushes": [frame(first, "0")], "gap": True, "next": None})
            else:
                served.answer(400, problem("must_be_secret"))

    server = scripted(script)
    relay(sqlite, server)
    assert posted(server) == [["0", "1"], ["1"]]
    assert sqlite.rows("id, error") == [(second, "must_be_secret: Do this.")]
