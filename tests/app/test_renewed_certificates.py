"""A server over TLS whose certificates are renewed while it runs."""

import re
import shutil
import signal
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bench.rig.ports import free_ports
from cometify.app.server import POLL_CERTIFICATES
from tests.certificates import Chain
from tests.conftest import Server, assert_clean
from tests.redis import Redis
from tests.wire import API_KEY, WebSocket, eventually

FILES = ("key.pem", "fullchain.pem")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, Chain]:
    folder = tmp_path_factory.mktemp("certificates")
    return Chain(folder / "old"), Chain(folder / "new")


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
def server(request: Any, made: tuple[Chain, Chain], redis: Redis, tmp_path: Path) -> Iterator[Server]:
    (port,) = free_ports(1)
    server = Server(tmp_path, {"redis": redis.url, "workers": request.param}, {})
    put(server, made[0])
    server.options["http"] = [f"ssl:{port}:privateKey=key.pem:certKey=fullchain.pem:interface=127.0.0.1"]
    server.port = port
    server.start()
    if request.param > 1:
        eventually(lambda: server.log.read_text().count("#info] Serves") == request.param, 20)
    yield server
    if server.process is not None:
        server.stop()
    assert_clean(server.log.read_text())


def put(server: Server, chain: Chain) -> None:
    for name in FILES:
        shutil.copy(chain.folder / name, server.folder / name)


def serves(server: Server, chain: Chain) -> bool:
    """True if many new connections, to whatever worker, get this certificate and its chain."""
    context = ssl.create_default_context(cafile=chain.authority)
    try:
        for _ in range(10):
            listener(server, context).close()
    except ssl.SSLCertVerificationError:
        return False
    return True


def listener(server: Server, context: ssl.SSLContext) -> WebSocket:
    return WebSocket(
        server.port,
        f"/{API_KEY}/websocket?identifiers=chat",
        wrap=lambda plain: context.wrap_socket(plain, server_hostname="localhost"),
    )


def told(server: Server) -> set[float]:
    """The ends of the certificates that the console and the metrics tell, which are the same."""
    processes = server.request("GET", "/console/processes", port=server.admin_port).json["processes"]
    shown = {one["not_after"] for process in processes for one in process["certificates"]}
    text = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    assert shown == set(map(float, re.findall(r"^cometify_certificate_not_after_seconds.* (\S+)$", text, re.MULTILINE)))
    return shown


def end_of(chain: Chain) -> float:
    served = x509.load_pem_x509_certificates((chain.folder / "fullchain.pem").read_bytes())
    return min(one.not_valid_after_utc.timestamp() for one in served)


@pytest.mark.parametrize("how", ["by SIGHUP", "by themselves"])
def test_renewed_certificates_are_served_without_a_restart(server, made, how):
    old, new = made
    assert serves(server, old)
    assert told(server) == {end_of(old)}
    before = listener(server, ssl.create_default_context(cafile=old.authority))
    put(server, new)
    if how == "by SIGHUP":
        server.process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    eventually(lambda: serves(server, new), 30)
    assert how == "by themselves" or time.monotonic() - began < POLL_CERTIFICATES
    assert told(server) == {end_of(new)}
    assert "The certificates of ssl:" in server.log.read_text()
    before.close()


def test_wrong_certificates_change_nothing_and_are_logged(server, made):
    (server.folder / "fullchain.pem").write_text("nothing")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "fullchain.pem has no certificate in PEM" in server.log.read_text())
    assert serves(server, made[0])
