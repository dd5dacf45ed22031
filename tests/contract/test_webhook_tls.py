"""A webhook over HTTPS: a real server sends to a real receiver, whose certificate it verifies."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Chain
from tests.conftest import Server
from tests.wire import eventually

SETTINGS = {"webhook_networks": ["127.0.0.1"]}


class Receiver(HTTPServer):
    """Takes requests at https://localhost, with a certificate of `chain`."""

    def __init__(self, chain: Chain) -> None:
        events: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_what: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.events = events
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain.folder / "fullchain.pem", chain.folder / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_of: object) -> None:
        """A client that does not trust the certificate ends the handshake."""

    def url(self, host: str) -> str:
        return f"https://{host}:{self.server_port}/hook?key=s3cret"


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    chain = Chain(tmp_path / "chain")
    monkeypatch.setenv("SSL_CERT_FILE", str(chain.authority))
    receiver = Receiver(chain)
    yield receiver
    receiver.shutdown()
    receiver.server_close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Any]:
    servers: list[Server] = []

    def serve(url: str) -> Server:
        (tmp_path / "server").mkdir()
        servers.append(Server(tmp_path / "server", SETTINGS, {"webhook": url}).start())
        return servers[0]

    yield serve
    for server in servers:
        server.stop()
        assert "s3cret" not in server.log.read_text()


def test_certificate_of_a_trusted_authority_is_accepted(serve: Any, receiver: Receiver) -> None:
    server = serve(receiver.url("localhost"))
    eventually(lambda: [event["type"] for event in receiver.events] == ["reset"], 20)
    assert "HTTP11Client" not in server.log.read_text()


@pytest.mark.parametrize(
    ("host", "trusted", "words"),
    [("127.0.0.1", True, "is for another name"), ("localhost", False, "certificate verify failed")],
    ids=["other name", "stranger"],
)
def test_other_certificates_are_refused(
    serve: Any,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    host: str,
    trusted: bool,
    words: str,
) -> None:
    if not trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(Chain(tmp_path / "other").authority))
    server = serve(receiver.url(host))
    eventually(lambda: "does not take events" in server.log.read_text(), 20)
    assert words in server.log.read_text()
    assert receiver.events == []
