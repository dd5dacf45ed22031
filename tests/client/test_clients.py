"""Promises of single clients, and of the three clients together."""

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from twisted.logger import globalLogPublisher

from bench.rig.ports import free_port
from cometify.client import Cometify, CometifyError, MaybePushed, Pushed
from cometify.client.aio import AsyncCometify
from cometify.client.tx import TxCometify
from tests.certificates import make_certificate
from tests.client.scripted import PUSHED, answering
from tests.client.shells import load_aio
from tests.conftest import PYTHONPATH
from tests.wire import API_KEY, API_SECRET

LONG = 20.0
"""Seconds: a deadline that no test reaches, on a busy machine either."""
RESULT = Pushed("chat", None, 1764000000000000, 3)
METHODS = [
    "push", "batch", "position", "identifiers", "identifier", "pushes", "usage", "disconnect", "close", "token",
    "secure_key", "account_token",
]  # fmt: skip


@pytest.mark.parametrize("other", [AsyncCometify, TxCometify])
@pytest.mark.parametrize("method", METHODS)
def test_clients_have_the_same_methods(other, method):
    one, two = getattr(Cometify, method), getattr(other, method)
    assert inspect.signature(one).parameters == inspect.signature(two).parameters
    assert inspect.getdoc(one) == inspect.getdoc(two)


def test_import_needs_the_standard_library_alone():
    script = """
import sys
before = set(sys.modules)
import cometify.client
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['cometify']"


def test_url_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("COMETIFY_URL", f"https://{API_KEY}:{API_SECRET}@push.example.org/push")
    shown = repr(Cometify.from_url())
    assert shown == f"<Cometify {API_KEY} at https://push.example.org/push>"
    monkeypatch.setenv("COMETIFY_URL", "")
    with pytest.raises(CometifyError, match="set COMETIFY_URL"):
        Cometify.from_url()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", None, 1j])
def test_timeout_must_be_a_time(timeout):
    with pytest.raises(CometifyError, match="timeout must be a number of seconds above 0"):
        Cometify.from_url("https://k:s@push.example.org", timeout=timeout)


@pytest.mark.parametrize("timeout", [1e15, 10**400, float("inf")])
def test_very_long_timeout_pushes(client, scripted, timeout):
    assert client(scripted(answering()).url, timeout=timeout).push("chat", "Hello world!") == RESULT


def test_threads_share_a_client(scripted):
    server = scripted(answering())
    with Cometify.from_url(server.url, timeout=LONG) as pushing, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: pushing.push("chat", str(number)), range(200)))
    assert results == [RESULT] * 200
    assert sorted(int(request.json["text"]) for request in server.requests) == list(range(200))
    assert len(server.connections) < 100


def test_forked_process_leaves_the_connection_of_its_parent_alone(scripted):
    server = scripted(answering())
    with Cometify.from_url(server.url, timeout=LONG) as pushing:
        pushing.push("chat", "parent")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer versions of Python warn: the server has threads
            child = os.fork()
        if child == 0:
            try:
                os._exit(pushing.push("chat", "child") != RESULT)
            finally:
                os._exit(2)
        _pid, status = os.waitpid(child, 0)
        assert status == 0
        pushing.push("chat", "parent again")
    assert [request.json["text"] for request in server.requests] == ["parent", "child", "parent again"]
    assert len(server.connections) == 2


def test_client_that_is_dropped_leaves_no_connection(scripted):
    server = scripted(answering())
    assert Cometify.from_url(server.url, timeout=LONG).push("chat", "one") == RESULT
    gc.collect()  # a socket that is left open warns, and warnings fail this suite
    (connection,) = server.connections
    until = time.monotonic() + LONG
    while connection.socket.fileno() != -1 and time.monotonic() < until:
        time.sleep(0.01)
    assert connection.socket.fileno() == -1


def test_interrupted_call_leaves_no_answer_for_the_next_one(scripted):
    def late(served):
        served.request()
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.2)
        served.answer(body={**PUSHED, "position": 1})

    def interrupt(_number, _frame):
        raise InterruptedCallError

    class InterruptedCallError(BaseException):
        pass

    server = scripted(late, answering())
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with Cometify.from_url(server.url, timeout=LONG) as pushing:
            with pytest.raises(InterruptedCallError):
                pushing.push("chat", "one")
            assert pushing.push("chat", "two") == RESULT
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_refusal_of_a_body_that_is_still_sent_is_read(scripted):
    def early(served):
        served.until(b"\r\n\r\n")
        served.answer(413, {"code": "body_too_large", "detail": "Send less."}, Connection="close")
        time.sleep(0.2)

    with Cometify.from_url(scripted(early).url, timeout=LONG) as pushing, pytest.raises(CometifyError) as caught:
        pushing.push("chat", "x" * 8_000_000)
    assert caught.value.code == "body_too_large"


@pytest.fixture
def tls_url(make_server, tmp_path):
    """The URL of a server whose certificate this machine does not trust. cert.pem has that."""
    make_certificate(tmp_path)
    port = free_port()
    pair = f"privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem"
    make_server(http=[f"ssl:{port}:interface=127.0.0.1:{pair}"])
    return f"https://{API_KEY}:{API_SECRET}@localhost:{port}?bearer=1"


@pytest.mark.parametrize("client", ["sync", "httpx", "threads"], indirect=True)
def test_tls_is_checked(client, tls_url, tmp_path, monkeypatch):
    with pytest.raises(CometifyError) as caught:
        client(tls_url, timeout=LONG).push("chat", "Hello world!")
    assert (type(caught.value), caught.value.code) == (CometifyError, "unreachable")
    assert "its certificate is not accepted" in caught.value.detail
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert client(tls_url, timeout=LONG).push("chat", "Hello world!").identifier == "chat"


def test_tls_is_checked_by_twisted(tls_url, tmp_path):
    # TLS uses the reactor of the process, so this test needs one.
    script = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from cometify.client import CometifyError
from cometify.client.tx import TxCometify

async def main():
    try:
        print((await TxCometify.from_url(timeout=20).push("chat", "Hello world!")).identifier)
    except CometifyError as error:
        print(type(error).__name__, error)

react(lambda reactor: Deferred.fromCoroutine(main()))
"""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "COMETIFY_URL": tls_url}
    for trusted, expected in ({}, "CometifyError unreachable: "), ({"SSL_CERT_FILE": f"{tmp_path}/cert.pem"}, "chat\n"):
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment | trusted, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(expected), done.stdout
        assert not done.stderr


@pytest.mark.parametrize("client", ["twisted"], indirect=True)
def test_body_that_stops_halfway_logs_nothing_at_the_deadline(client, scripted):
    ended = threading.Event()

    def half(served):
        served.request()
        served.send(b'HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{"identifier"')
        try:
            served.fill()
        finally:
            ended.set()

    events = []
    pushing = client(scripted(half).url, timeout=0.5)
    globalLogPublisher.addObserver(events.append)
    try:
        with pytest.raises(CometifyError) as caught:
            pushing.push("chat", "Hello world!")
        pushing.turn()
        assert ended.wait(LONG)
        pushing.turn()
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert type(caught.value) is MaybePushed
    assert [event for event in events if "log_failure" in event] == []


@pytest.mark.parametrize("client", ["sync", "httpx", "threads"], indirect=True)
def test_connection_that_has_ended_is_replaced_without_a_pause(client, scripted, monkeypatch):
    def one_answer(served):
        served.request()
        served.answer()
        served.request()

    pauses = []

    async def pause(seconds):
        pauses.append(seconds)

    pushing = client(scripted(one_answer, answering()).url, timeout=LONG)
    assert pushing.push("chat", "one") == RESULT
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(asyncio, "sleep", pause)
    assert pushing.push("chat", "two") == RESULT
    assert pauses == []


@pytest.mark.parametrize("with_httpx", [True, False])
def test_asyncio_client_serves_one_loop_after_another(monkeypatch, scripted, with_httpx):
    server = scripted(answering())
    pushing = load_aio(monkeypatch, with_httpx).AsyncCometify.from_url(server.url, timeout=LONG)

    async def push():
        results = await asyncio.gather(*(pushing.push("chat", "Hello world!") for _ in range(5)))
        await pushing.close()
        return results

    assert asyncio.run(push()) == [RESULT] * 5
    assert asyncio.run(push()) == [RESULT] * 5


def test_push_that_waited_too_long_for_a_thread_is_not_sent(monkeypatch, scripted):
    server = scripted(answering())
    pushing = load_aio(monkeypatch, with_httpx=False).AsyncCometify.from_url(server.url, timeout=0.3)
    released = threading.Event()

    async def push():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        others = asyncio.create_task(asyncio.to_thread(released.wait, LONG))
        await asyncio.sleep(0)
        task = asyncio.create_task(pushing.push("chat", "Hello world!"))
        await asyncio.sleep(0.6)
        released.set()
        await others
        with pytest.raises(CometifyError) as caught:
            await task
        return caught.value

    error = asyncio.run(push())
    assert (type(error), error.code) == (CometifyError, "unreachable")
    assert "no thread was free" in error.detail
    assert server.requests == []


@pytest.mark.parametrize("with_httpx", [True, False])
def test_cancelled_call_ends_at_once(monkeypatch, scripted, with_httpx):
    came = threading.Event()

    def silent(served):
        served.request()
        came.set()
        served.fill()

    aio = load_aio(monkeypatch, with_httpx)
    server = scripted(silent)

    async def push():
        async with aio.AsyncCometify.from_url(server.url, timeout=2) as pushing:
            task = asyncio.create_task(pushing.push("chat", "Hello world!"))
            await asyncio.to_thread(came.wait, LONG)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(push())
