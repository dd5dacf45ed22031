"""Many long batches at once, of an honest back end and of strangers, on sockets."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from bench.rig.ports import free_ports
from tests.certificates import make_certificate
from tests.conftest import Server, assert_clean
from tests.contract.support import API_KEY
from tests.wire import Connection, eventually, request_bytes, seal

MIB = 2**20
PATH = f"/{API_KEY}/push"
JSON = "application/json"
AT_ONCE = 64


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """A server that takes batches with and without TLS. Returns the server, and a function that connects by a way."""
    folder = tmp_path_factory.mktemp("batches")
    tls = make_certificate(folder)
    (tls_port,) = free_ports(1)
    server = Server(folder, {}, {})
    server.options["http"] = [
        f"tcp:{server.port}:interface=127.0.0.1",
        f"ssl:{tls_port}:interface=127.0.0.1:privateKey={folder}/key.pem:certKey={folder}/cert.pem",
    ]
    server.start()
    yield (
        server,
        {
            "tcp": lambda **more: Connection(server.port, 60, **more),
            "tls": lambda **more: Connection(tls_port, 60, wrap=tls, **more),
        },
    )
    server.stop()
    assert_clean(server.log.read_text())


def batch(name, size, in_chunks=False, **changes):
    """A batch of one push, with spaces up to its size."""
    body = json.dumps([{"identifier": name, "text": "x", "secret": 0}]).encode().ljust(size)
    headers = seal(PATH, body, time.time(), f"nonce-of-{name}".ljust(16, "-"), kind=JSON) | changes
    if not in_chunks:
        return request_bytes("POST", PATH, body, headers)
    head = request_bytes("POST", PATH, None, {**headers, "Transfer-Encoding": "chunked"})
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize("framing", ["counted", "chunked"])
@pytest.mark.parametrize("way", ["tcp", "tls"])
def test_batches_that_come_at_once_all_succeed(batches, way, framing):
    server, connect = batches
    requests = [batch(f"{way}{framing}{number}", MIB, framing == "chunked") for number in range(AT_ONCE)]

    def push(request):
        with connect[way]() as connection:
            connection.send(request)
            return connection.answer().status

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(push, requests)) == [200] * AT_ONCE
    assert too_slow(server) == 0


def test_batches_that_are_held_do_not_hold_up_an_honest_one(batches):
    server, connect = batches
    with ExitStack() as stack, ThreadPoolExecutor(10) as pool:
        held = batch("held", 8 * MIB, **{"Cometify-Signature": "0" * 64})[:-1]
        strangers = [stack.enter_context(connect["tcp"](source=f"127.0.0.{number + 2}")) for number in range(10)]
        sent = [pool.submit(stranger.send, held) for stranger in strangers]

        eventually(lambda: too_slow(server) >= 1)
        for name, size in (("short", MIB), ("long", 8 * MIB)):
            with connect["tcp"]() as connection:
                connection.send(batch(name, size))
                assert connection.answer().status == 200
        for stranger in strangers:
            with suppress(OSError):
                stranger.socket.shutdown(socket.SHUT_RDWR)  # it may still be sending in its thread
        for sending in sent:
            sending.exception()


def test_strangers_who_send_nearly_nothing_do_not_hold_up_honest_batches(batches):
    """Each sends few bytes more than are free. 420 of them let no batch of anybody through for minutes."""
    _server, connect = batches
    begun = batch("held", 8 * MIB, **{"Cometify-Signature": "0" * 64})[:66_500]
    with ExitStack() as stack:
        for number in range(120):
            stack.enter_context(connect["tcp"](source=f"127.0.1.{1 + number // 30}")).send(begun)
        for name, size in (("small", 300_000), ("one", MIB), ("large", 3 * MIB)):
            began = time.monotonic()
            with connect["tcp"]() as connection:
                connection.send(batch(name, size))
                assert connection.answer().status == 200
            assert time.monotonic() - began < 20


def too_slow(server):
    """The connections that were cut because their requests came too slowly."""
    lines = server.request("GET", "/metrics", port=server.admin_port).body.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("cometify_requests_too_slow_total ")]
    return float(line.partition(" ")[2])
