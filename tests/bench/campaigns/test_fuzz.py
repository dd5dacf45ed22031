"""The fuzz campaign finds what it looks for: each fault is planted in a small server, in a log or in an answer."""

import json
import socket
import threading
import time

import pytest

from bench.campaigns.attacks.good_client import Latencies
from bench.campaigns.fuzz import conversation
from bench.campaigns.fuzz.answers import AnswerReader, Wrong
from bench.campaigns.fuzz.campaign import Bounds, Part, Verdict, log_faults
from bench.campaigns.fuzz.inputs import KINDS, Input, make_input
from bench.campaigns.fuzz.player import Player
from bench.campaigns.fuzz.tally import Tally, tally_from_json
from bench.campaigns.fuzz.target import MARK, SECRETS

CLOCK = 1_764_000_000
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def problem(status, code):
    body = json.dumps({"code": code}).encode()
    return b"HTTP/1.1 %d Odd\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


# Inputs.


def test_input_is_the_same_each_time():
    inputs = [make_input(7, number, CLOCK) for number in range(400)]
    assert inputs == [make_input(7, number, CLOCK) for number in range(400)]
    assert inputs != [make_input(8, number, CLOCK) for number in range(400)]


def test_every_kind_and_every_ending_occur():
    inputs = [make_input(1, number, CLOCK) for number in range(3000)]
    assert {made.kind for made in inputs} == set(KINDS)
    assert {made.ending for made in inputs} == {"finish", "reset", "wait"}
    assert all(piece for made in inputs if made.answers for piece in made.pieces)


# Answers.


@pytest.mark.parametrize(
    "data",
    [
        problem(500, "x"),
        problem(503, "x"),
        b"HTTP/1.1 505 No\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad field\r\n\r\n",
        FINE + b"more\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Go\r\n\r\n\x81\x85\0\0\0\0hello",
        b"HTTP/1.1 101 Go\r\n\r\n\x81\x05hello",
        b'HTTP/1.1 101 Go\r\n\r\n\x81\x0c{"type":"x"}',
        b"HTTP/1.1 101 Go\r\n\r\n\x88\x02\x03\xf3",
    ],
)
def test_wrong_answer_is_told(data):
    with pytest.raises(Wrong):
        AnswerReader().feed(data)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_right_answers_are_counted_however_they_are_cut(size):
    reader = AnswerReader()
    data = FINE + problem(503, "overloaded") + problem(400, "invalid_body") + b"HTTP/1.1 304 No\r\n\r\n"
    data += b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    data += b'HTTP/1.1 101 Go\r\n\r\n\x8a\x00\x81\x10{"type":"ready"}\x88\x02\x03\xe8'
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    expected = [
        "200",
        "503 overloaded",
        "400 invalid_body",
        "304",
        "200 begun",
        "200",
        "101",
        "frame ready",
        "close 1000",
    ]
    assert reader.outcomes == expected
    assert reader.answers == 6


# Conversations.


@pytest.fixture
def serve():
    """Start a server that treats each connection with a function, in a thread."""
    listening = []

    def start(treat):
        port = socket.create_server(("127.0.0.1", 0))
        listening.append(port)

        def accept():
            while True:
                try:
                    connection, _ = port.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    treat(connection)

        threading.Thread(target=accept, daemon=True).start()
        return port.getsockname()[1]

    yield start
    for port in listening:
        port.shutdown(socket.SHUT_RDWR)  # or accept() would wait for ever, and hold a descriptor that nobody can see
        port.close()


def play(port, *inputs):
    player = Player(port, patient=True)
    player.play(iter(inputs))
    return player.tally


def test_right_conversation_has_no_fault(serve):
    port = serve(lambda peer: (peer.recv(999), peer.sendall(FINE), peer.recv(999)))
    tally = play(port, Input(0, "requests", (ASK[:5], ASK[5:]), answers=1))
    assert (tally.faults, dict(tally.outcomes)) == ([], {"200": 1})


@pytest.mark.parametrize(
    ("treat", "given", "reason"),
    [
        (lambda peer: (peer.recv(999), peer.sendall(problem(500, "x"))), {"answers": 1}, "status 500"),
        (lambda peer: peer.recv(999), {"answers": 1}, "closed after 0 of 1 answers"),
        (lambda peer: time.sleep(1), {"answers": 1}, "0 of 1 answers within"),
        (
            lambda peer: (peer.recv(999), peer.sendall(FINE), time.sleep(1)),
            {"answers": 1, "closes": True},
            "not closed by the server",
        ),
        (lambda peer: time.sleep(1), {}, "still open"),
        (lambda peer: time.sleep(1), {"ending": "wait"}, "open and silent"),
        (lambda peer: time.sleep(2), {"pieces": (b"x" * 30_000_000,)}, "has taken no byte"),
    ],
)
def test_fault_of_a_server_is_found(serve, monkeypatch, treat, given, reason):
    for name in ("ANSWERS_WITHIN", "CLOSES_WITHIN", "SILENT"):
        monkeypatch.setattr(conversation, name, 0.3)
    (fault,) = play(serve(treat), Input(**{"number": 5, "kind": "odd", "pieces": (ASK,), **given})).faults
    assert reason in fault.reason
    assert (fault.number, fault.kind) == (5, "odd")
    assert fault.pieces == repr(given.get("pieces", (ASK,)))


def test_input_that_the_player_sends_too_slowly_is_no_fault(serve, monkeypatch):
    monkeypatch.setattr(conversation, "PLAYS_WITHIN", -1.0)
    assert play(serve(lambda peer: peer.recv(999)), Input(5, "odd", (ASK,), answers=1)).faults == []


def test_tally_survives_the_way_between_processes(serve):
    tally = play(serve(lambda peer: peer.recv(999)), Input(5, "odd", (ASK,), answers=1))
    assert tally_from_json(tally.as_json()) == tally
    assert tally.faults


# The verdict.


@pytest.mark.parametrize(
    "line", ["Traceback (most recent call last):", f"text={MARK}", "ab" * 16, "eyJhbGciOiJIUzI1NiJ9.e30.x", *SECRETS]
)
def test_log_that_tells_too_much_is_found(line):
    assert log_faults("Cometify is up on tcp:8081\n") == []
    assert log_faults(f"Cometify is up on tcp:8081\nA line with {line} in it\n")


@pytest.mark.parametrize(
    "bad",
    [
        {"turn": 1.0},
        {"memory": 10**9},
        {"log": "x\n" * 1000},
        {"log": "Traceback"},
        {"latencies": Latencies([3.0])},
        {"latencies": Latencies([0.001], errors=["gone"])},
        {"latencies": Latencies()},
    ],
)
def test_each_broken_promise_is_a_violation(bad):
    good = {
        "part": Part(1, CLOCK, 0, 10),
        "seconds": 1.0,
        "tally": Tally(),
        "latencies": Latencies([0.001]),
        "turn": 0.01,
        "memory": 0,
        "log": "",
    }
    assert Verdict(**good).violations(Bounds()) == []
    assert Verdict(**{**good, **bad}).violations(Bounds())
