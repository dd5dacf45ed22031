"""TLS handshakes that are slow, broken off or never begun."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from bench.rig.ports import free_ports
from cometify.runtime.certificates import CertificateFiles, Certificates
from cometify.runtime.tls_handshake import HANDSHAKE_WITHIN, MOST_ADDED, MOST_WAITING
from tests.certificates import Peer, make_certificate, make_key_pair
from tests.conftest import Server
from tests.runtime.tls import Connection as PortConnection
from tests.runtime.tls import Port, RawRecords, client
from tests.wire import Connection

MANY = 300
MOST_BYTES = 28_000
"""Bytes of a connection whose handshake has not begun. With the buffers of OpenSSL it is 45,000 to 55,000."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    make_key_pair(folder / "key.pem", folder / "cert.pem")
    return Certificates(CertificateFiles("ssl:443", folder / "key.pem", folder / "cert.pem"))


@pytest.fixture
def port(certificates: Certificates) -> Port:
    return Port(certificates)


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
def test_hello_in_pieces_is_understood(port, size):
    connection, peer = port.connect(), Peer(client())
    hello = peer.hello()
    pieces = [hello[at : at + size] for at in range(0, len(hello), size)]
    answers = [connection.receive(piece) for piece in pieces]
    assert not any(answers[:-1])
    assert answers[-1]
    connection.finish(peer, answers[-1])
    assert connection.echoes(peer)


def test_handshake_leaves_attributes_inside_the_instance(tmp_path):
    """CPython keeps them in a dict beside the instance once one is deleted or `__dict__` is read, and lookups take longer.

    It does the same when a class gets new attributes after about 30 instances, here when many handshakes begin before one
    ends. So this is measured in a process that has not had a connection.
    """
    make_key_pair(tmp_path / "key.pem", tmp_path / "cert.pem")
    subprocess.run([sys.executable, "-m", "tests.runtime.handshake_wave", tmp_path], check=True, timeout=60)


def test_hello_in_several_records_is_understood(port):
    connection, peer = port.connect(), Peer(client())
    hello = peer.hello()
    header, message = hello[:3], hello[5:]
    halves = [message[:100], message[100:]]
    records = [header + len(half).to_bytes(2, "big") + half for half in halves]
    assert connection.receive(records[0]) == b""
    connection.finish(peer, connection.receive(records[1]))
    assert connection.echoes(peer)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x03\x01\x00\x04\xff\xff\xff\xff",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x80\x2e\x01\x03\x01",
    ],
)
def test_other_bytes_than_a_hello_end_the_connection(port, data):
    connection = port.connect()
    connection.receive(data)
    assert connection.is_cut
    connection.server.connectionLost(Failure(ConnectionDone()))
    assert not port.clock.getDelayedCalls()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", "hello"])
def test_handshake_that_takes_too_long_is_cut_off(port, said):
    connection = port.connect()
    connection.receive(Peer(client()).hello() if said == "hello" else said)
    port.clock.advance(HANDSHAKE_WITHIN - 0.1)
    assert not connection.is_cut
    port.clock.advance(0.2)
    assert connection.is_cut


def test_drops_of_a_hello_do_not_put_the_end_off(port):
    connection = port.connect()
    for byte in Peer(client()).hello()[: int(HANDSHAKE_WITHIN)]:
        port.clock.advance(1)
        connection.receive(bytes([byte]))
    assert connection.is_cut


def test_connection_after_its_handshake_has_no_deadline(port):
    connection = port.connect()
    peer = connection.shake(Peer(client()))
    assert not port.clock.getDelayedCalls()
    port.clock.advance(HANDSHAKE_WITHIN + 1)
    assert connection.echoes(peer)


class Reader(Protocol):
    """Says nothing."""


@pytest.fixture
def asks_for_keys(certificates: Certificates, tmp_path: Path) -> tuple[PortConnection, Callable[[], bytes]]:
    """A connection after its handshake, and the function that makes 31 requests for new keys and a byte of data.

    OpenSSL ends a connection after 32 requests in a row.
    """
    context = client()
    context.keylog_filename = str(tmp_path / "keys")
    connection = Port(certificates, Reader).connect()
    peer = connection.shake(Peer(context))
    assert (peer.tls.cipher() or ("",))[0] == "TLS_AES_256_GCM_SHA384"
    records = RawRecords.of(tmp_path / "keys")
    return connection, lambda: b"".join([records.key_update() for _ in range(31)]) + records.data(b"x")


def test_client_that_asks_for_keys_and_reads_nothing_is_cut(asks_for_keys):
    connection, requests = asks_for_keys
    while not connection.is_cut:
        connection.server.dataReceived(requests())
        assert connection.transport.unsent < MOST_WAITING + MOST_ADDED + 2000
    assert connection.transport.unsent > MOST_WAITING


def test_client_that_asks_for_keys_and_reads_is_not_cut(asks_for_keys):
    connection, requests = asks_for_keys
    answered = 0
    while answered < 2 * (MOST_WAITING + MOST_ADDED):
        answer = connection.receive(requests())
        assert answer
        answered += len(answer)
    assert not connection.is_cut


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_connection_that_is_lost_before_its_handshake_leaves_nothing(port, said):
    connection = port.connect()
    connection.receive(said)
    connection.server.connectionLost(Failure(ConnectionDone()))
    assert not port.clock.getDelayedCalls()
    gone = weakref.ref(connection.server)
    gc.disable()
    try:
        del connection
        assert gone() is None
    finally:
        gc.enable()


@pytest.fixture
def tls_server(make_server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Server, int, Any]]:
    """A server over TLS, its port, and the function that makes TLS of a socket."""
    (port,) = free_ports(1)
    wrap = make_certificate(tmp_path)
    text = f"ssl:{port}:privateKey={tmp_path}/key.pem:certKey={tmp_path}/cert.pem:interface=127.0.0.1"
    return make_server(http=[text], is_forked=False), port, wrap


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00" + bytes(100)], ids=["nothing", "half a hello"])
def test_connection_without_a_handshake_is_small(tls_server, said):
    server, port, wrap = tls_server
    for _ in range(30):
        Connection(port, wrap=wrap).close()
    before = server.memory()
    connections = [Connection(port) for _ in range(MANY)]
    for connection in connections:
        connection.send(said)
    with Connection(port, wrap=wrap):  # it is accepted and has shaken hands after all others were accepted
        grown = server.memory() - before
    for connection in connections:
        connection.close()
    assert grown / MANY < MOST_BYTES
