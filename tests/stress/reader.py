"""Listeners that read quickly, slowly or not at all, and write down every frame to the byte."""

import json
import random
import threading
import time
from contextlib import suppress

from tests.wire import API_KEY, DEFLATE, Closed, Connection, Stream, WebSocket, request_bytes, secure_key

CHANNELS = ("alpha", "beta", "gamma")
END = "end"
TEMPERS = ("quick", "slow", "stalls", "resets", "parts", "asks again")


def push_frame(position, channel, push_id, text):
    """The bytes that the contract has for a push."""
    frame = {"type": "push", "identifier": channel, "push_id": push_id, "text": text, "position": position}
    return json.dumps(frame, separators=(",", ":")).encode()


class Reader(threading.Thread):
    """`begin`: a position before all pushes of the test. `got`: (position, channel, text) of each push, in order."""

    def __init__(self, server, seed, begin):
        super().__init__(daemon=True)
        self.server = server
        self.seed = seed
        self.random = random.Random(seed)
        self.kind = self.random.choice(("websocket", "websocket", "stream", "events", "poll"))
        self.deflates = self.random.random() < 0.4
        self.temper = self.random.choice(TEMPERS if self.kind == "websocket" else TEMPERS[:-1])
        self.tls = self.random.random() < 0.25
        self.channels = self.random.sample(CHANNELS, self.random.randint(1, 3))
        self.right = self.random.random() < 0.5
        self.above = self.random.randint(1, 300) if self.random.random() < 0.3 else None
        self.cursor = begin if self.above is not None or self.random.random() < 0.3 else None
        self.since = dict.fromkeys(self.channels, self.cursor)
        self.got = []
        self.left = []
        self.error = None

    def __repr__(self):
        facts = (self.seed, self.kind, self.temper, "tls" if self.tls else "tcp", self.channels, self.right, self.above)
        return f"<Reader {facts} after {len(self.got)}: {self.error!r}>"

    def run(self):
        try:
            while not self.has_all:
                self.listen()
        except Exception as error:  # noqa: BLE001 - the test looks at it, because an error in a thread fails no test
            self.error = error

    @property
    def has_all(self):
        return all(any(channel == other and text == END for _, other, text in self.got) for channel in self.channels)

    def may_see(self, channel, position, push_id, secret):
        """True for a push that must arrive."""
        until = dict(self.left)
        if channel in until and position <= until[channel][1]:
            return position > until[channel][0] and (self.right or not secret)
        if self.since.get(channel) is None or position <= self.since[channel] or (secret and not self.right):
            return False
        return push_id is None or self.above is None or push_id > self.above

    # One connection.

    def query(self):
        names = ",".join(self.channels) if self.above is None else ",".join(f"{n}:{self.above}" for n in self.channels)
        query = "identifiers=" + names + f"&listener=reader_{self.seed:08}"
        if self.right:
            query += "&secureKey=" + secure_key(*self.channels)
        return query if self.cursor is None else query + f"&position={self.cursor}"

    def connection(self):
        """Return the port, and the options of the connection. Small segments: see `Connection`."""
        more = {"timeout": 30.0, "segment": 1_400}
        if self.temper != "quick":
            more["receive_buffer"] = 4096
        if self.tls:
            return self.server.tls_port, {"wrap": self.server.tls, **more}
        return self.server.port, more

    def listen(self):
        port, more = self.connection()
        target = f"/{API_KEY}/{self.kind}?{self.query()}"
        if self.kind == "poll":
            with Connection(port, **more) as connection:
                while not self.has_all and self.random.random() > 0.1:
                    connection.send(request_bytes("GET", f"/{API_KEY}/poll?{self.query()}"))
                    if self.temper == "resets" and self.random.random() < 0.1:
                        connection.reset()
                        return
                    answer = connection.answer()
                    if answer.status == 409 and self.temper == "resets":
                        continue  # the request of the connection that was reset has waited, and was served after this one
                    for line in answer.body.splitlines():
                        self.take(line)
                    self.wait()
            return
        if self.kind == "websocket" and self.deflates:
            more["headers"] = DEFLATE
        with WebSocket(port, target, **more) if self.kind == "websocket" else Stream(port, target, **more) as listener:
            self.read(listener)

    def read(self, listener):
        ends_after = self.random.randint(5, 60) if self.temper in {"resets", "parts"} else None
        asks_after = self.random.randint(5, 60) if self.temper == "asks again" and not self.left else None
        while not self.has_all:
            try:
                frame = self.payload(listener)
            except EOFError:
                if self.kind == "websocket":
                    raise
                return  # a stream ends after a megabyte
            self.take(frame)
            self.wait()
            if self.kind == "websocket" and self.random.random() < 0.03:
                listener.send(b"ping", opcode=9)
            if ends_after is not None:
                ends_after -= 1
                if ends_after < 0:
                    self.leave(listener)
                    return
            if asks_after is not None and len(self.channels) > 1 and self.above is None:
                asks_after -= 1
                if asks_after < 0:
                    asks_after = None
                    self.ask_again(listener)

    def payload(self, listener):
        if self.kind == "websocket":
            while True:
                opcode, data = listener.message()
                if opcode == 10:
                    assert data == b"ping"
                elif opcode == 8:
                    raise Closed(int.from_bytes(data[:2], "big"), data[2:].decode())
                else:
                    assert opcode == 1
                    return data
        if self.kind == "stream":
            return listener.raw(b"\n")
        data, *more = listener.raw(b"\n\n").split(b"\n")
        frame = json.loads(data.removeprefix(b"data: "))
        position = frame["positions"][0] if frame["type"] == "ready" else frame["position"]
        assert more == [b"id: %d" % position]
        return data.removeprefix(b"data: ")

    def take(self, data):
        """Take a whole frame. Frames of all types are checked here, and pushes are written down."""
        frame = json.loads(data)
        if frame["type"] == "push":
            assert data == push_frame(frame["position"], frame["identifier"], frame["push_id"], frame["text"])
            assert self.cursor is None or frame["position"] > self.cursor, "out of order, or twice"
            self.got.append((frame["position"], frame["identifier"], frame["text"]))
            self.cursor = frame["position"]
        elif frame["type"] == "ready":
            if self.cursor is None:
                self.cursor = frame["positions"][0]
                self.since = dict.fromkeys(self.channels, self.cursor)
        else:
            assert frame["type"] == "heartbeat", frame
            assert frame["position"] >= self.cursor
            self.cursor = frame["position"]

    # The temper.

    def wait(self):
        if self.temper == "slow" and self.random.random() < 0.05:
            time.sleep(0.01)  # a slow peer is tested here
        elif self.temper == "stalls" and self.random.random() < 0.004:
            time.sleep(0.3)

    def leave(self, listener):
        if self.temper == "resets":
            listener.connection.reset()
        elif self.kind == "websocket":
            listener.send(b"\x03\xe8", opcode=8)
            with suppress(Closed):
                while True:
                    self.take(self.payload(listener))  # nothing is lost before the close frame is answered

    def ask_again(self, listener):
        """Give up one identifier while pushes come. From the next ready on none of it may come."""
        gone = self.channels.pop()
        group = {"identifiers": self.channels}
        if self.right:
            group["secureKey"] = secure_key(*self.channels)
        listener.listen(group, listener=f"reader_{self.seed:08}")
        while True:
            frame = self.payload(listener)
            self.take(frame)
            told = json.loads(frame)
            if told["type"] == "ready":
                self.left.append((gone, (self.since.pop(gone), told["positions"][0])))
                return
