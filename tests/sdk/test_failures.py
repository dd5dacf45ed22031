"""The libraries for back ends when the server refuses, breaks off, is silent or is not there."""

import hashlib
import hmac
import socket
import subprocess
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from bench.rig.ports import free_port
from tests.app.test_slow_names import SlowNames
from tests.sdk.conftest import SDK, LibraryError, url_of
from tests.sdk.scripted import (
    HALF,
    HALF_CHUNK,
    HALF_HEAD,
    HALF_UNTIL_CLOSED,
    NO_HTTP,
    PUSHED,
    ScriptedServer,
    answer,
    drip,
    hang_up,
    refuse,
    scripted,
    silent,
)
from tests.wire import API_KEY, API_SECRET

LONG = 60.0
"""A timeout in seconds that no test reaches, however slow the machine is."""
SHORT = 0.6
"""A timeout that a test waits for."""
LOST = {
    "hung up": hang_up,
    "half a body": HALF,
    "half a head": HALF_HEAD,
    "half a chunk": HALF_CHUNK,
    "half a body without a length": HALF_UNTIL_CLOSED,
    "no HTTP": NO_HTTP,
    "the page of a proxy": answer(502, b"<html>Bad Gateway</html>"),
    "a proxy's own time": answer(504, b""),
    "another page": answer(200, b"<html>Log in</html>"),
    "another answer": answer(200, {"ok": True}),
    "an empty answer": answer(200, b""),
    "no engine": refuse(503, "engine_unavailable", Retry_After="0"),
    "overloaded": refuse(503, "overloaded", Retry_After="0"),
    "a fault": answer(500, b"Internal Server Error"),
    "draining": refuse(503, "draining"),
}
UNPUSHED = {"overloaded", "draining"}
lost = pytest.mark.parametrize("about", list(LOST))


def signed(request):
    """The signature that the headers of a request should have."""
    headers = request.headers
    parts = [
        "v2",
        request.method,
        request.target.split("?")[0],
        headers["cometify-timestamp"],
        headers["cometify-nonce"],
        headers.get("content-type", ""),
        headers.get("idempotency-key", ""),
        hashlib.sha256(request.body).hexdigest(),
    ]
    return hmac.digest(API_SECRET.encode(), "\n".join(parts).encode(), "sha256").hex()


def failed(library, **arguments):
    with pytest.raises(LibraryError) as caught:
        library.push(**arguments)
    return caught.value


# Another try.


@lost
def test_lost_answer_is_asked_for_again_with_one_key(make, about):
    with scripted(LOST[about], answer()) as server:
        library = make(server.port, timeout=LONG)
        assert library.push("chat", "Hello", pushId=7)["position"] == PUSHED["position"]
    first, second = server.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert first.json == {"text": "Hello", "secret": 0, "push_id": "7"}
    assert first.headers["cometify-nonce"] != second.headers["cometify-nonce"]
    for request in (first, second):
        assert request.target == f"/{API_KEY}/push/chat"
        assert request.headers["cometify-signature"] == signed(request)


@lost
def test_lost_answer_says_if_it_may_have_been_pushed(make, about):
    with scripted(LOST[about], refuse(503, "draining", Retry_After="600")) as server:
        error = failed(make(server.port, timeout=LONG))
    assert (error.code, error.status, error.fields["retryAfter"]) == ("draining", 503, 600)
    assert error.maybe_pushed == (about not in UNPUSHED)
    assert {request.headers["idempotency-key"] for request in server.requests} == {error.idempotency_key}
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("about", "code", "status"),
    [
        ("hung up", "no_answer", None),
        ("half a body", "no_answer", None),
        ("the page of a proxy", "unreadable_answer", 502),
        ("another page", "unreadable_answer", 200),
        ("a fault", "unreadable_answer", 500),
    ],
)
def test_answer_that_stays_lost_is_told_at_the_deadline(make, about, code, status):
    with scripted(LOST[about]) as server:
        error = failed(make(server.port, timeout=2.0))
    assert (error.code, error.status, error.maybe_pushed) == (code, status, True)
    assert f"http://127.0.0.1:{server.port}" in error.detail
    assert {request.headers["idempotency-key"] for request in server.requests} == {error.idempotency_key}


def test_each_push_has_a_key_of_its_own(make):
    with scripted(answer()) as server:
        library = make(server.port, timeout=LONG)
        for _ in range(3):
            library.push()
        library.push(idempotencyKey="mine")
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == 4
    assert keys[-1] == "mine"


def test_connection_is_kept(make):
    with scripted(answer(), answer(), refuse(400, "invalid_identifier"), answer(200, {"position": 5})) as server:
        library = make(server.port, timeout=LONG)
        library.push()
        library.push("chat", "x" * 65_536)
        failed(library)
        assert library.call("position") == 5
        assert server.connections == 1
        assert all("expect" not in request.headers for request in server.requests)
        assert server.requests[-1].body == b""
        assert "content-type" not in server.requests[-1].headers


def test_connection_that_the_server_has_closed_costs_no_push(make):
    with scripted(answer(ends=True), answer()) as server:
        library = make(server.port, timeout=LONG)
        for _ in range(2):
            assert library.push()["position"] == PUSHED["position"]
        assert server.connections == 2
        assert len(server.requests) == 2


FORKS = """
require 'Cometify.php';
$cometify = Cometify\\Cometify::fromUrl($argv[1], timeout: 60);
$cometify->push('chat', 'before');
[$parentEnd, $childEnd] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
$child = pcntl_fork();
for ($i = 0; $i < 20; $i++) {
    $cometify->push($child ? 'parent' : 'child', (string) $i);
}
if ($child) {
    fwrite($parentEnd, 'done');
    pcntl_waitpid($child, $status);
    exit(pcntl_wexitstatus($status));
}
// PHP closes the connections of the parent when the child ends. No push of the parent may be on its way then.
fread($childEnd, 4);
"""


def test_forked_process_of_php_has_a_connection_of_its_own():
    with scripted(answer()) as server:
        command = ["php", "-r", FORKS, "--", url_of(server.port)]
        done = subprocess.run(command, cwd=SDK / "php", capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    used = {name: {r.connection for r in server.requests if r.target.endswith(name)} for name in ("parent", "child")}
    assert used["parent"] == {1}
    assert len(server.requests) == 41
    assert used["child"].isdisjoint(used["parent"])


def test_retry_after_is_waited_for(make):
    arrived = []

    def timed(act):
        def noted(connection):
            arrived.append(time.monotonic())
            return act(connection)

        return noted

    script = [refuse(429, "too_many_pushes", Retry_After="1"), refuse(503, "draining", Retry_After="1"), answer()]
    with scripted(*map(timed, script)) as server:
        make(server.port, timeout=LONG).push()
    first, second, third = arrived
    assert second - first >= 1.0
    assert third - second >= 1.0


@pytest.mark.parametrize(
    ("status", "code", "headers", "maybe"),
    [
        (429, "too_many_pushes", {"Retry_After": "60"}, False),
        (429, "too_many_pushes", {}, False),
        (503, "engine_unavailable", {"Retry_After": "60"}, True),
        (503, "draining", {"Retry_After": "60"}, False),
        (403, "not_authorized", {}, False),
        (409, "idempotency_mismatch", {}, False),
    ],
)
def test_refusal_that_another_try_does_not_help_is_told_at_once(make, status, code, headers, maybe):
    with scripted(refuse(status, code, **headers)) as server:
        error = failed(make(server.port, timeout=30.0))
    assert len(server.requests) == 1
    assert (error.code, error.status, error.maybe_pushed) == (code, status, maybe)
    assert error.detail == f"Detail of {code}."
    assert error.fields["retryAfter"] == (60 if headers else None)


def test_lost_try_leaves_a_doubt_until_the_server_refuses(make):
    with scripted(hang_up, refuse(503, "draining", Retry_After="600")) as server:
        error = failed(make(server.port, timeout=LONG))
    assert (error.code, error.maybe_pushed) == ("draining", True)
    with scripted(hang_up, refuse(403, "not_authorized")) as server:
        error = failed(make(server.port, timeout=LONG))
    assert (error.code, error.maybe_pushed) == ("not_authorized", False)


@pytest.mark.parametrize("status", [301, 403, 404, 429, 499])
@pytest.mark.parametrize("body", [b"<html></html>", {"error": "forbidden"}])
def test_page_of_a_proxy_does_not_end_the_doubt(make, status, body):
    with scripted(hang_up, answer(status, body)) as server:
        error = failed(make(server.port, timeout=LONG))
    assert (error.code, error.status, error.maybe_pushed) == ("unreadable_answer", status, True)
    assert {request.headers["idempotency-key"] for request in server.requests} == {error.idempotency_key}
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [301, 307, 404])
def test_answer_of_another_server_says_to_check_the_url(make, status):
    elsewhere = free_port()
    with scripted(answer(status, b"<html></html>", Location=f"http://127.0.0.1:{elsewhere}/")) as server:
        error = failed(make(server.port, timeout=LONG))
    assert (error.code, error.status, error.maybe_pushed) == ("unreadable_answer", status, False)
    assert "must lead to a Cometify server" in error.detail
    assert len(server.requests) == 1


def test_list_is_asked_for_page_by_page(make):
    pages = [
        {"identifiers": [{"identifier": name}], "next": after}
        for name, after in (("a", "a+b"), ("b", "b"), ("c", None))
    ]
    with scripted(*[answer(200, page) for page in pages], hang_up) as server:
        found = make(server.port, timeout=LONG).call("identifiers", prefix="a b")
    assert [row["identifier"] for row in found] == ["a", "b", "c"]
    targets = [urlsplit(request.target) for request in server.requests]
    asked = {"limit": ["1000"], "prefix": ["a b"]}
    assert [parse_qs(target.query) for target in targets] == [
        asked,
        {**asked, "after": ["a+b"]},
        {**asked, "after": ["b"]},
    ]
    assert {target.path for target in targets} == {f"/{API_KEY}/identifiers"}
    assert all(request.headers["cometify-signature"] == signed(request) for request in server.requests)


# The deadline.


ENDLESS = {
    "silent": silent,
    "body byte by byte": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 9999, 0.05),
    "head byte by byte": drip(b"HTTP/1.1 200 " + b"x" * 9999, 0.05),
}


@pytest.mark.parametrize("about", list(ENDLESS))
def test_deadline_holds_against_a_server_that_never_ends(make, about):
    with scripted(ENDLESS[about]) as server:
        library = make(server.port, timeout=SHORT)
        begun = time.monotonic()
        error = failed(library)
        assert time.monotonic() - begun < 20  # the answers would take eight minutes
        assert (error.code, error.status, error.maybe_pushed) == ("no_answer", None, True)
        assert len(server.requests) <= 4
        assert len({request.headers["idempotency-key"] for request in server.requests}) == 1


@pytest.mark.parametrize("timeout", [0, -1])
def test_timeout_must_be_a_time(make, timeout):
    with pytest.raises(LibraryError, match=r"timeout must be a number of (milli)?seconds above 0") as caught:
        make(free_port(), timeout=timeout)
    assert caught.value.code == "invalid_parameter"


def test_timeout_of_node_must_be_a_number():
    script = """
    import { Cometify } from 'cometify-node';
    for (const timeout of [true, '5', null, NaN, [5]]) {
      try {
        Cometify.fromUrl('https://k:s@push.example.org', { timeout });
        console.log('made', timeout);
      } catch (error) {
        console.log(error.code);
      }
    }
    """
    command = ["node", "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=SDK / "node", capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n") == [*["invalid_parameter"] * 5, ""]


@pytest.mark.parametrize("timeout", [2**31 / 1000 * 3, 1e15, float("inf")])
def test_very_long_timeout_does_not_end_at_once(make, timeout):
    def late(connection):
        time.sleep(0.3)
        return answer()(connection)

    with scripted(late, refuse(403, "not_authorized")) as server:
        assert make(server.port, timeout=timeout).push()["position"] == PUSHED["position"]
    assert len(server.requests) == 1


def test_silent_server_leaves_time_for_another_try(make):
    with scripted(silent, answer()) as server:
        assert make(server.port, timeout=4.0).push()["position"] == PUSHED["position"]
    assert len(server.requests) == 2


def test_port_that_takes_no_connection_is_unreachable(make):
    error = failed(make(free_port(), timeout=SHORT))
    assert (error.code, error.status, error.maybe_pushed) == ("unreachable", None, False)


def test_unknown_host_name_is_unreachable(make):
    error = failed(make(f"http://{API_KEY}:secret@nowhere.invalid", timeout=SHORT))
    assert (error.code, error.maybe_pushed) == ("unreachable", False)


def test_deadline_holds_against_a_name_server_that_hangs(make, tmp_path):
    names = SlowNames(tmp_path)
    library = make(f"http://{API_KEY}:secret@slow.example:1", names.environment, timeout=SHORT)
    begun = time.monotonic()
    error = failed(library)
    assert time.monotonic() - begun < 20  # the look-up takes 25 s
    assert (error.code, error.maybe_pushed) == ("unreachable", False)
    # Node ends only when the look-up has.
    library.driver.kill()


def test_connection_that_is_not_taken_is_unreachable(make):
    """The backlog of the port is full, so the handshake of TCP is not answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            peer = socket.socket()
            peer.setblocking(False)
            with suppress(BlockingIOError):
                peer.connect(listening.getsockname())
            waiting.append(peer)
        time.sleep(0.1)
        error = failed(make(listening.getsockname()[1], timeout=SHORT))
        for peer in waiting:
            peer.close()
    assert (error.code, error.maybe_pushed) == ("unreachable", False)


def test_server_that_comes_in_time_gets_the_push(make):
    server = ScriptedServer(answer())
    library = make(server.port, timeout=LONG)
    starter = threading.Timer(0.5, server.listen)
    starter.start()
    try:
        assert library.push()["position"] == PUSHED["position"]
    finally:
        starter.join()
        server.close()
    assert len(server.requests) == 1


# What is not shown.


@lost
def test_error_shows_no_secret_and_no_text(make, about):
    with scripted(LOST[about]) as server:
        library = make(server.port, timeout=0.2)
        failed(library, content="the text of it", secret=True)
    assert library.driver.errors() == ""
    assert "the text of it" not in library.written
    assert API_SECRET not in library.written
