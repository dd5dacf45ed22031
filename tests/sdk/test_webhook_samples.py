"""The receivers of docs/webhooks.md, run beside a real server: signatures, old timestamps, repeats."""

import hashlib
import hmac
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bench.rig.ports import free_ports
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET, WebSocket, eventually

SAMPLES = Path(__file__).parents[2] / "docs/samples"
COMMANDS = {"py": ["python3", "{file}"], "mjs": ["node", "{file}"], "php": ["php", "-S", "127.0.0.1:{port}", "{file}"]}
PATH = "/hook?from=cometify"


class Receiver:
    """A running sample. `events`: those that it has handled."""

    def __init__(self, folder: Path, language: str) -> None:
        (self.port,) = free_ports(1)
        file = folder / f"webhook.{language}"
        text = (SAMPLES / file.name).read_text("utf-8")
        assert ("8000" in text) != (language == "php")
        file.write_text(text.replace("8000", str(self.port)).replace("YOUR_API_SECRET", API_SECRET), "utf-8")
        self._output = folder / "output"
        command = [part.format(file=file, port=self.port) for part in COMMANDS[language]]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
        eventually(self._listens, 20)

    def _listens(self) -> bool:
        return self.post(b"[]", {}) == 403

    @property
    def events(self) -> list[dict[str, object]]:
        found = []
        for line in self._output.read_text("utf-8", "replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line[line.index("{") :]))
        return found

    def post(self, body: bytes, headers: dict[str, str]) -> int:
        """Send a request of one's own. Returns the status, 0 if nobody answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{PATH}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - to this machine
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0


def signed(body: bytes, secret: str = API_SECRET, path: str = "/hook", age: int = 0) -> dict[str, str]:
    timestamp, nonce, kind, key = str(int(time.time()) - age), "n" * 20, "application/json", "7"
    lines = ["v2", "POST", path, timestamp, nonce, kind, key, hashlib.sha256(body).hexdigest()]
    signature = hmac.digest(secret.encode(), "\n".join(lines).encode(), "sha256").hex()
    return {
        "Content-Type": kind,
        "Idempotency-Key": key,
        "Cometify-Timestamp": timestamp,
        "Cometify-Nonce": nonce,
        "Cometify-Signature": signature,
    }


@pytest.fixture(params=COMMANDS)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Receiver]:
    receiver = Receiver(tmp_path, request.param)
    yield receiver
    receiver.process.kill()
    receiver.process.wait(10)


def test_receiver_takes_the_events_of_a_server_once(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    url = f"http://127.0.0.1:{receiver.port}{PATH}"
    server = Server(tmp_path / "server", {"webhook_networks": ["127.0.0.1"]}, {"webhook": url}).start()
    try:
        listener = WebSocket(server.port, f"/{API_KEY}/websocket?identifiers=Chat")
        eventually(lambda: len(receiver.events) == 2, 20)
        listener.close()
    finally:
        server.stop()
    assert [event["type"] for event in receiver.events] == ["reset", "occupied"]
    last = receiver.events[-1]
    assert last["identifier"] == "chat"
    newer = {**last, "id": int(str(last["id"])) + 1}
    body = json.dumps([last, newer]).encode()
    for _ in range(2):
        assert receiver.post(body, signed(body)) == 204
    eventually(lambda: receiver.events[2:] == [newer], 10)


def test_receiver_refuses_what_the_account_has_not_signed(receiver: Receiver) -> None:
    body = b'[{"type":"reset","id":1,"time":0}]'
    refused = [
        {},
        signed(body, secret="another"),
        signed(body, path="/other"),
        signed(body + b" "),
        signed(body, age=310),
        signed(body, age=-360),
        {**signed(body), "Cometify-Nonce": "m" * 20},
        {**signed(body), "Idempotency-Key": "8"},
        {**signed(body), "Content-Type": "text/plain"},
        {**signed(body), "Cometify-Signature": "é".encode().decode("latin-1")},
    ]
    assert [receiver.post(body, headers) for headers in refused] == [403] * len(refused)
    assert receiver.events == []
    assert receiver.post(body, signed(body, age=240)) == 204
