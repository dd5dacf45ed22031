"""The accounts of one server, and what each of them does over plain sockets."""

import socket
import time
from dataclasses import dataclass
from urllib.parse import urlencode

from bench.rig import wire
from bench.rig.account import SECRET

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Neighbour:
    """An account of the server at `port`."""

    port: int
    key: str

    def connect(self) -> socket.socket:
        """Open a connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def push_request(self, identifier: str, text: str) -> bytes:
        """Return the request of a push."""
        secure = wire.md5(self.key + wire.md5(SECRET) + identifier + text)
        body = urlencode({"text": text, "secret": 0, "secure": secure}).encode()
        return wire.request("POST", f"/{self.key}/push/{identifier}", _FORM, body)

    def listen(self, identifier: str) -> socket.socket:
        """Open a WebSocket, and read until it has joined."""
        connection = self.connect()
        connection.sendall(wire.request("GET", f"/{self.key}/websocket?identifiers={identifier}", wire.UPGRADE))
        read_until(connection, b'"heartbeat","position"')
        return connection


def read_until(connection: socket.socket, end: bytes) -> None:
    """Read until these bytes have come."""
    data = b""
    while end not in data:
        more = connection.recv(65_536)
        if not more:
            raise ConnectionError("the server has closed the connection")
        data += more


@dataclass(frozen=True)
class Sample:
    """From a push to its frame: seconds of the wall clock, and seconds of CPU that the server took meanwhile."""

    wall: float
    cpu: float


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of another process (see clock_getcpuclockid(3): Linux makes the clock's number of the pid)."""
    return time.clock_gettime((~pid << 3) | 2)


def measure(neighbour: Neighbour, pid: int, count: int, pause: float) -> list[Sample]:
    """Push now and then, and time each push until a listener has its frame."""
    listener, pusher = neighbour.listen("quiet"), neighbour.connect()
    samples = []
    for number in range(count):
        time.sleep(pause)
        text = f"number {number}."
        request = neighbour.push_request("quiet", text)
        wall, cpu = time.perf_counter(), cpu_seconds(pid)
        pusher.sendall(request)
        read_until(listener, text.encode())
        samples.append(Sample(time.perf_counter() - wall, cpu_seconds(pid) - cpu))
        read_until(pusher, b"}\n")
    listener.close()
    pusher.close()
    return samples
