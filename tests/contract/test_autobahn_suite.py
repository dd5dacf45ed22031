"""The cases of the Autobahn Testsuite, run by kosoku, against the product's reader and writer of WebSocket frames.

Listeners do not echo, so only the echo is made here. Behind the handshake are the product's own reader, frames and
answers to closing.
"""

import base64
import hashlib
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cometify.core.encodings import DEFLATED, FINAL, deflate, websocket_frame
from cometify.websocket.frame_reader import (
    CLOSE,
    INVALID_DATA,
    PING,
    PONG,
    TEXT,
    FrameReader,
    Message,
    Violation,
    answer_to_close,
    close_frame,
    control_frame,
)
from cometify.websocket.permessage_deflate import negotiate

LIMIT = 16 * 2**20
"""Bytes of the longest message of the cases."""


class Ended(Exception):
    """A close frame was sent."""


class Echo(socketserver.BaseRequestHandler):
    """Sends each message back, compressed if the handshake agreed on it."""

    deflates = False

    def handle(self) -> None:
        with suppress(Ended, ConnectionError):
            reader = FrameReader(LIMIT, deflates=self._shake_hands())
            while data := self.request.recv(2**20):
                for message in reader.feed(data):
                    self._answer(message)

    def _shake_hands(self) -> bool:
        lines = b""
        while not lines.endswith(b"\r\n\r\n"):
            lines += self.request.recv(1)
        parted = [line.partition(":") for line in lines.decode().split("\r\n")[1:]]
        headers = {name.lower(): value.strip() for name, _, value in parted}
        key = headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest())
        agreed = negotiate(headers.get("sec-websocket-extensions"))
        self.deflates = agreed is not None
        answer = [
            b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + accept,
            *([b"Sec-WebSocket-Extensions: " + agreed] if agreed else []), b"", b"",
        ]  # fmt: skip
        self.request.sendall(b"\r\n".join(answer))
        return self.deflates

    def _answer(self, message: Message | Violation) -> None:
        if isinstance(message, Violation):
            self._end(close_frame(message.code))
        elif message.opcode == CLOSE:
            self._end(answer_to_close(message.data))
        elif message.opcode == PING:
            self.request.sendall(control_frame(PONG, message.data))
        elif message.opcode != PONG:
            self._echo(message)

    def _echo(self, message: Message) -> None:
        if message.opcode == TEXT:
            try:
                message.data.decode()
            except UnicodeDecodeError:
                self._end(close_frame(INVALID_DATA))
        if self.deflates:
            self.request.sendall(websocket_frame(FINAL | DEFLATED | message.opcode, deflate(message.data)))
        else:
            self.request.sendall(websocket_frame(FINAL | message.opcode, message.data))

    def _end(self, last: bytes) -> None:
        self.request.sendall(last)
        raise Ended


@pytest.fixture
def port() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


FRAMING = ["-x", "12.*", "-x", "13.*"]
# Of compression a short message and one in fragments, of each kind of data and each offer; all sizes take minutes.
# 13.3 and 13.5 have but one offer, of a window of 512 bytes, which is declined: one compressed frame serves all.
COMPRESSION = [f"-i{group}.*.{size}" for group in ("12", "13") for size in (4, 11)] + ["-x", "13.3.*", "-x", "13.5.*"]


@pytest.mark.parametrize(("cases", "count"), [(FRAMING, 301), (COMPRESSION, 20)], ids=["framing", "compression"])
def test_every_case_passes(port, tmp_path, cases, count):
    command = [Path(sys.executable).parent / "kosoku", "-m", "fuzzingclient", f"127.0.0.1:{port}", "-p", "8"]
    run = subprocess.run([*command, "-o", tmp_path, *cases], capture_output=True, text=True, timeout=100, check=False)
    (results,) = json.loads((tmp_path / "index.json").read_text()).values()
    assert len(results) == count
    # Text that is not UTF-8 is refused at the end of the message, not at its first wrong byte: that is not strict (6.4).
    lenient = {case for case, result in results.items() if result["behavior"] == "NON-STRICT"}
    assert lenient <= {"6.4.1", "6.4.2", "6.4.3", "6.4.4"}
    for case, result in results.items():
        assert result["behavior"] in {"OK", "INFORMATIONAL", "NON-STRICT"}, (case, result)
        assert result["behaviorClose"] in {"OK", "INFORMATIONAL"}, (case, result)
    assert run.returncode == 0, run.stdout
