"""Each client beside servers that fail: errors, timeouts, half answers, connections that end."""

import hashlib
import hmac
import socket
import time

import pytest

from cometify.client import CometifyError, MaybePushed, Push, Pushed
from tests.client.scripted import PUSHED, answering, once, problem
from tests.wire import API_SECRET

LONG = 20.0
"""Seconds: a deadline that no test reaches, on a busy machine either."""
RESULT = Pushed("chat", None, 1764000000000000, 3)


def failure(call, *arguments, **options):
    with pytest.raises(CometifyError) as caught:
        call(*arguments, **options)
    assert API_SECRET not in str(caught.value)
    return caught.value


def close_unanswered(served):
    served.request()


def half_an_answer(served):
    served.request()
    served.send(b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"identifier"')


def half_a_head(served):
    served.request()
    served.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def half_a_chunk(served):
    served.request()
    served.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"identifier"')


def rubbish(served):
    served.request()
    served.send(b"SSH-2.0-OpenSSH\r\n\r\n")


def signed_rightly(request):
    lines = ["v2", request.method, request.target]
    lines += [request.headers[f"cometify-{name}"] for name in ("timestamp", "nonce")]
    lines += [request.headers.get("content-type", ""), request.headers.get("idempotency-key", "")]
    lines.append(hashlib.sha256(request.body).hexdigest())
    signature = hmac.digest(API_SECRET.encode(), "\n".join(lines).encode(), "sha256").hex()
    return signature == request.headers["cometify-signature"]


@pytest.mark.parametrize(
    "first",
    [
        close_unanswered, half_an_answer, half_a_head, half_a_chunk, rubbish, once(500, b"<h1>Oops</h1>"),
        once(502, b"<h1>Bad Gateway</h1>"), once(504, b""), once(503, problem("overloaded"), Retry_After="0"),
        once(503, b"no server is there"), once(429, problem("too_many_pushes"), Retry_After="0"),
        once(503, problem("engine_unavailable"), Retry_After="0"),
    ],
)  # fmt: skip
def test_failed_try_is_followed_by_another(client, scripted, first):
    server = scripted(first, answering())
    assert client(server.url, timeout=LONG).push("chat", "Hello world!") == RESULT
    one, two = server.requests
    assert one.json == two.json == {"text": "Hello world!", "secret": 0}
    assert one.headers["idempotency-key"] == two.headers["idempotency-key"]
    assert one.headers["cometify-nonce"] != two.headers["cometify-nonce"]
    assert signed_rightly(one)
    assert signed_rightly(two)


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        (close_unanswered, "no_answer", MaybePushed),
        (half_an_answer, "no_answer", MaybePushed),
        (answering(503, b"<h1>Nobody is there</h1>"), "unreadable_answer", MaybePushed),
        (answering(503, problem("draining")), "draining", CometifyError),
    ],
)
def test_call_ends_at_its_deadline_and_tells_its_doubt(client, scripted, script, code, kind):
    server = scripted(script)
    began = time.monotonic()
    error = failure(client(server.url, timeout=3).push, "chat", "Hello world!", idempotency_key="order 5")
    assert time.monotonic() - began < LONG
    assert (type(error), error.code, error.idempotency_key) == (kind, code, "order 5")
    assert len(server.requests) > 1
    assert {request.headers["idempotency-key"] for request in server.requests} == {"order 5"}


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        (answering(403, problem("not_authorized"), Retry_After="0"), "not_authorized", CometifyError),
        (answering(409, problem("idempotency_mismatch")), "idempotency_mismatch", CometifyError),
        (answering(429, problem("too_many_pushes")), "too_many_pushes", CometifyError),
        (answering(429, problem("too_many_pushes"), Retry_After="60"), "too_many_pushes", CometifyError),
        (answering(503, problem("engine_unavailable"), Retry_After="60"), "engine_unavailable", MaybePushed),
        (answering(503, problem("overloaded"), Retry_After="60"), "overloaded", CometifyError),
        (answering(404, b"<h1>Not Found</h1>"), "unreadable_answer", CometifyError),
        (answering(301, b"", Location="https://push.example.org/"), "unreadable_answer", CometifyError),
        (answering(200, b"<h1>Welcome</h1>"), "unreadable_answer", MaybePushed),
        (answering(200, {"position": 7}), "unreadable_answer", MaybePushed),
        (answering(200, [PUSHED]), "unreadable_answer", MaybePushed),
    ],
)
def test_answer_that_no_further_try_mends_is_told_at_once(client, scripted, script, code, kind):
    server = scripted(script)
    error = failure(client(server.url, timeout=LONG).push, "chat", "Hello world!")
    assert (type(error), error.code) == (kind, code)
    assert len(server.requests) == 1
    assert error.retry_after in (None, 0, 60)


def test_bytes_that_come_one_by_one_gain_no_time(client, scripted):
    def drip(served):
        served.request()
        served.drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000)

    began = time.monotonic()
    error = failure(client(scripted(drip).url, timeout=3).push, "chat", "Hello world!")
    assert type(error) is MaybePushed
    assert time.monotonic() - began < LONG


def test_silent_server_leaves_time_for_another_try(client, scripted):
    def silent(served):
        served.request()
        served.fill()

    server = scripted(silent, answering())
    assert client(server.url, timeout=4).push("chat", "Hello world!") == RESULT
    assert len(server.requests) == 2


def test_nobody_listens_so_nothing_was_pushed(client):
    with socket.create_server(("127.0.0.1", 0)) as port:
        number = port.getsockname()[1]
    error = failure(client(f"http://k:s@127.0.0.1:{number}", timeout=0.5).push, "chat", "Hello world!")
    assert (type(error), error.code) == (CometifyError, "unreachable")
    assert f"http://127.0.0.1:{number} cannot be reached" in error.detail


def test_doubt_of_an_earlier_try_outlives_a_closed_port(client, scripted):
    server = scripted(close_unanswered)

    def last(served):
        served.request()
        server._port.close()

    server.scripts = [last]
    error = failure(client(server.url, timeout=3).push, "chat", "Hello world!")
    assert (type(error), error.code) == (MaybePushed, "unreachable")


def test_connection_serves_one_call_after_another(client, scripted):
    server = scripted(answering())
    pushing = client(server.url, timeout=LONG)
    for number in range(5):
        assert pushing.push("chat", str(number)) == RESULT
    assert [request.json["text"] for request in server.requests] == list("01234")
    assert len(server.connections) == 1


def test_idle_connection_that_the_server_closed_is_replaced(client, scripted):
    server = scripted(once(), answering())
    pushing = client(server.url, timeout=LONG)
    assert pushing.push("chat", "one") == RESULT
    assert pushing.push("chat", "two") == RESULT
    assert [request.json["text"] for request in server.requests] == ["one", "two"]


def test_connection_that_ends_as_it_is_used_again_is_replaced(client, scripted):
    def one_answer(served):
        served.request()
        served.answer()
        served.request()
        served.requests.pop()

    server = scripted(one_answer, answering())
    pushing = client(server.url, timeout=LONG)
    assert pushing.push("chat", "one") == RESULT
    assert pushing.push("chat", "two") == RESULT
    assert [request.json["text"] for request in server.requests] == ["one", "two"]


def test_answer_without_a_length_ends_with_its_connection(client, scripted):
    def unmeasured(served):
        served.request()
        served.send(b'HTTP/1.1 200 OK\r\n\r\n{"position":7}')

    assert client(scripted(unmeasured).url, timeout=LONG).position() == 7


def test_answer_in_chunks_is_read(client, scripted):
    def chunked(served):
        served.request()
        served.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"posit\r\n7\r\nion":7}\r\n0\r\n\r\n')

    assert client(scripted(chunked).url, timeout=LONG).position() == 7


def test_lost_answer_to_a_question_leaves_no_doubt(client, scripted):
    error = failure(client(scripted(close_unanswered).url, timeout=3).position)
    assert (type(error), error.idempotency_key) == (CometifyError, None)
    assert error.code in {"no_answer", "unreachable"}  # the last try of a busy machine has no time left to connect


def test_server_below_a_path_gets_the_signature_of_its_own_path(client, scripted):
    server = scripted(answering())
    client(f"{server.url}/push/", timeout=LONG).push("chat", "Hello world!")
    (request,) = server.requests
    assert request.target == "/push/37282591/push/chat"
    request.target = "/37282591/push/chat"
    assert signed_rightly(request)


def test_bearer_sends_the_secret_and_no_signature(client, scripted):
    server = scripted(answering(), answering())
    client(f"{server.url}?bearer=1", timeout=LONG).push("chat", "Hello world!")
    (request,) = server.requests
    assert request.headers["authorization"] == f"Bearer {API_SECRET}"
    assert not [name for name in request.headers if name.startswith("cometify-")]


def test_position_is_asked_for_without_a_proof(client, scripted):
    server = scripted(answering(200, {"position": 5}))
    assert client(f"{server.url}?bearer=1", timeout=LONG).position() == 5
    (request,) = server.requests
    assert (request.method, request.target) == ("GET", "/37282591/position")
    assert not {"authorization", "cometify-signature", "idempotency-key", "content-type"} & set(request.headers)


def test_proxies_of_the_environment_get_no_secret(client, scripted, monkeypatch):
    server, proxy = scripted(answering()), scripted(answering(200, {"position": 0}))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    client(f"{server.url}?bearer=1", timeout=LONG).push("chat", "Hello world!")
    assert (len(server.requests), proxy.requests) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "options", "code"),
    [
        (("chat",), {}, "missing_parameter"),
        (("chat", None), {}, "missing_parameter"),
        (("chat", "text"), {"data": 1}, "missing_parameter"),
        (("chat", b"bytes"), {}, "invalid_parameter"),
        (("chat", {1, 2}), {}, "invalid_parameter"),
        (("chat", [float("nan")]), {}, "invalid_parameter"),
        (("chat", "\ud800"), {}, "invalid_text"),
        (("chat", {"a": "\ud800"}), {}, "invalid_text"),
        (("chat", "text"), {"secret": 2}, "invalid_parameter"),
        (("chat", "text"), {"secret": "1"}, "invalid_parameter"),
        (("chat", "text"), {"push_id": 2**63}, "invalid_parameter"),
        (("chat", "text"), {"push_id": -1}, "invalid_parameter"),
        (("chat", "text"), {"push_id": True}, "invalid_parameter"),
        (("chat", "text"), {"idempotency_key": "a\r\nb: c"}, "invalid_parameter"),
        (("chat", "text"), {"idempotency_key": ""}, "invalid_parameter"),
        (("chat", "text"), {"idempotency_key": "x" * 129}, "invalid_parameter"),
        (("", "text"), {}, "invalid_identifier"),
        (("..", "text"), {}, "invalid_identifier"),
        ((7, "text"), {}, "invalid_identifier"),
    ],
)
def test_push_that_cannot_be_written_is_refused_unsent(client, scripted, arguments, options, code):
    server = scripted(answering())
    error = failure(client(server.url).push, *arguments, **options)
    assert (type(error), error.code, error.status) == (CometifyError, code, None)
    assert server.connections == []


def test_batch_that_cannot_be_written_is_refused_unsent(client, scripted):
    server = scripted(answering())
    pushing = client(server.url)
    assert "Push 2 of the batch: push_id" in failure(pushing.batch, [Push("a", "1"), Push("a", "2", push_id=-1)]).detail
    assert "Number 1 of the batch" in failure(pushing.batch, [{"identifier": "a"}]).detail
    assert "at most 100" in failure(pushing.batch, [Push("a", "1")] * 101).detail
    assert "not both" in failure(pushing.disconnect, subject="a", listener="b").detail
    assert "not both" in failure(pushing.disconnect).detail
    assert server.connections == []
