"""A server under everything at once: listeners of all kinds join, part, reset, stall and come back while pushes of all
sizes pour in. Each gets exactly its pushes, in order, to the byte."""

import random
import threading
import time

import pytest

from tests.wire import API_KEY, DEFLATE, FORM, Connection, WebSocket, form, request_bytes, secure, secure_key

CHANNELS = ("alpha", "beta", "gamma")
PUSHES = 600


class Publisher(threading.Thread):
    """Pushes over one connection, and writes down what the server has acknowledged."""

    def __init__(self, server, seed, pushes):
        super().__init__()
        self.server = server
        self.random = random.Random(seed)
        self.count = pushes
        self.log = []

    def run(self):
        with Connection(self.server.port) as connection:
            for number in range(self.count):
                channel = self.random.choice(CHANNELS)
                size = self.random.choice((0, 10, 100, 3_000, 20_000))
                text = self.random.randbytes(size // 2).hex()  # deflated it is still as long as half of it
                self.push(connection, channel, f"{number}:{text}", self.random.random() < 0.3)
            for channel in CHANNELS:
                self.push(connection, channel, "end", False)

    def push(self, connection, channel, text, secret):
        fields = {"text": text, "secret": str(int(secret)), "secure": secure(channel, text)}
        connection.send(request_bytes("POST", f"/{API_KEY}/push/{channel}", form(fields), FORM))
        answer = connection.answer()
        assert answer.status == 200, answer
        self.log.append((answer.json["position"], channel, secret, text))


class Reader(threading.Thread):
    """A listener with a temper: it may be slow, stall, ping, or reset its connection and resume."""

    def __init__(self, server, seed):
        super().__init__()
        self.server = server
        self.random = random.Random(seed)
        self.channels = self.random.sample(CHANNELS, self.random.randint(1, 3))
        self.right = self.random.random() < 0.5
        self.temper = self.random.choice(("quick", "slow", "stalls", "resets"))
        self.kind = self.random.choice(("websocket", "deflated", "stream", "events"))
        self.got = []
        self.begun = self.cursor = None
        self.error = None

    def connect(self):
        query = "identifiers=" + ",".join(self.channels)
        if self.right:
            query += "&secureKey=" + secure_key(*self.channels)
        if self.cursor is not None:
            query += f"&position={self.cursor}"
        more = {"receive_buffer": 4096, "timeout": 30.0} if self.temper != "quick" else {"timeout": 30.0}
        if self.kind in {"websocket", "deflated"}:
            return self.server.websocket(query, DEFLATE if self.kind == "deflated" else None, **more)
        return self.server.stream(query, path=self.kind, **more)

    def run(self):
        try:
            while not self.listen():
                pass
        except Exception as error:  # noqa: BLE001 - told by the test, which a thread's traceback would not fail
            self.error = error

    def listen(self):
        """One connection; whether all has come."""
        with self.connect() as listener:
            cut_after = self.random.randint(5, 60) if self.temper == "resets" else None
            left = self.random.randint(1, 3) if self.temper == "stalls" else 0
            ends = {entry[1] for entry in self.got if entry[3] == "end"}
            while len(ends) < len(self.channels):
                try:
                    frame = listener.frame()
                except EOFError:
                    return False  # a stream ends after a megabyte
                if frame["type"] == "push":
                    self.got.append((frame["position"], frame["identifier"], frame["text"], frame["text"]))
                    self.cursor = frame["position"]
                    if frame["text"] == "end":
                        ends.add(frame["identifier"])
                elif frame["type"] == "ready" and self.cursor is None:
                    self.cursor = self.begun = frame["positions"][0]
                elif frame["type"] == "heartbeat":
                    self.cursor = max(self.cursor, frame["position"])
                else:
                    assert frame["type"] == "ready", frame
                if self.behave(listener, left) and left:
                    left -= 1
                if cut_after is not None:
                    cut_after -= 1
                    if cut_after < 0:
                        listener.connection.reset()
                        return False
            return True

    def behave(self, listener, left):
        if self.temper == "slow" and self.random.random() < 0.05:
            time.sleep(0.01)  # what is tested is a peer that is slow
        if left and self.random.random() < 0.05:
            time.sleep(0.4)
            return True
        if isinstance(listener, WebSocket) and self.random.random() < 0.02:
            listener.send(b"ping", opcode=9)
        return False

    def expected(self, log):
        return [
            (position, channel, text)
            for position, channel, secret, text in log
            if channel in self.channels and position > self.begun and (self.right or not secret)
        ]


@pytest.mark.parametrize("seed", [1, 2])
def test_every_listener_gets_exactly_its_pushes(make_server, seed):
    server = make_server(account={"buffer_pushes": 10_000, "buffer_bytes": 64 * 2**20})
    readers = [Reader(server, seed * 1000 + number) for number in range(40)]
    publishers = [Publisher(server, seed, PUSHES)]
    for reader in readers[:30]:
        reader.start()
    publishers[0].start()
    for reader in readers[30:]:  # these join while it pours
        reader.start()
    for thread in [*publishers, *readers]:
        thread.join(90)
        assert not thread.is_alive()
    log = sorted(publishers[0].log)
    assert len(log) == PUSHES + len(CHANNELS)
    for reader in readers:
        assert reader.error is None, (reader.kind, reader.temper, reader.error)
        got = [(position, channel, text) for position, channel, text, _ in reader.got]
        assert got == reader.expected(log), (reader.kind, reader.temper, reader.right, reader.channels)
