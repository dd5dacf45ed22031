"""A server under everything at once: listeners of all kinds join, part, reset, stall and come back while pushes of all
sizes come in, and nearly all of it happens in the middle of a pass. Each gets exactly its pushes, in order, to the byte.
"""

import random
import sys
import threading
import time

import pytest

from tests.certificates import make_certificate
from tests.conftest import Server, assert_clean, free_ports
from tests.stress.hasty_twistd import SHORT
from tests.stress.reader import CHANNELS, END, Reader
from tests.wire import API_KEY, FORM, Connection, form, request_bytes, secure

PUSHES = 450
READERS = 60


class HastyServer(Server):
    """See hasty_twistd. It serves TLS as well."""

    twistd = (sys.executable, "-m", "tests.stress.hasty_twistd")

    def __init__(self, folder):
        super().__init__(folder, {}, {"buffer_pushes": 10_000, "buffer_bytes": 64 * 2**20})
        self.tls = make_certificate(folder)
        (self.tls_port,) = free_ports(1)
        self.options["http"] = [
            f"tcp:{self.port}:interface=127.0.0.1",
            f"ssl:{self.tls_port}:privateKey=key.pem:certKey=cert.pem:interface=127.0.0.1",
        ]


class Publisher(threading.Thread):
    """Pushes over one connection, and writes down the pushes that the server has acknowledged."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server = server
        self.random = random.Random(seed)
        self.log = []

    def run(self):
        with Connection(self.server.port) as connection:
            for number in range(PUSHES):
                size = self.random.choice((0, 10, 100, 3_000, 12_000))
                text = (
                    f"{number}:{self.random.randbytes(size // 2).hex()}"  # deflated it is still as long as half of it
                )
                push_id = number if self.random.random() < 0.7 else None
                self.push(connection, self.random.choice(CHANNELS), text, push_id, self.random.random() < 0.3)
            for channel in CHANNELS:
                self.push(connection, channel, END, None, False)

    def push(self, connection, channel, text, push_id, secret):
        fields = {"text": text, "secret": str(int(secret)), "secure": secure(channel, text)}
        if push_id is not None:
            fields["push_id"] = str(push_id)
        connection.send(request_bytes("POST", f"/{API_KEY}/push/{channel}", form(fields), FORM))
        answer = connection.answer()
        assert answer.status == 200, answer
        self.log.append((answer.json["position"], channel, push_id, secret, text))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_listener_gets_exactly_its_pushes(tmp_path, seed):
    server = HastyServer(tmp_path).start()
    publisher = Publisher(server, seed)
    begin = server.pushed("alpha", "before all")
    readers = [Reader(server, seed * 1000 + number, begin) for number in range(READERS)]
    for reader in readers[:40]:
        reader.start()
    publisher.start()
    for reader in readers[40:]:  # these join while it pours
        reader.start()
    until = time.monotonic() + 60
    for thread in [publisher, *readers]:
        thread.join(max(0, until - time.monotonic()))
        assert not thread.is_alive(), thread
    server.stop()
    log = server.log.read_text()
    assert_clean(log)
    assert len(publisher.log) == PUSHES + len(CHANNELS)
    for reader in readers:
        assert reader.error is None, reader
        expected = [
            (position, channel, text)
            for position, channel, push_id, secret, text in publisher.log
            if reader.may_see(channel, position, push_id, secret)
        ]
        assert reader.got == expected, reader

    assert int(log.rpartition(SHORT)[2].split()[0]) > 1_000, "the sockets were not small enough to prove anything"
