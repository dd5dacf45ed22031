"""A good client: pushes every ten milliseconds, and measures the time from each push to its frame on a WebSocket."""

import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bench.rig import wire

ADDRESS = "127.0.0.9"
"""The address that the good client comes from. No attacker has it."""
EVERY = 0.01
"""Seconds from one push to the next."""
KEY, SECRET = "good", "goodsecretsecret"
"""The good client's account."""
_WAITS = 10.0
"""Seconds after which a push counts as lost."""


@dataclass
class Latencies:
    """Times from push to frame, in seconds, and what went wrong. `cpu`: the CPU that the server took in each of them."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """The time that so many percent of the pushes did not exceed. Infinite if none arrived."""
        return _percentile(self.seconds, percent)

    def cpu_percentile(self, percent: float) -> float:
        """The same of the CPU that the server took. Other processes of the machine do not add to it."""
        return _percentile(self.cpu, percent)


def _percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("inf")


class _Stream:
    """A blocking connection to the server, read by the piece."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket()
        self.socket.bind((ADDRESS, 0))
        self.socket.settimeout(_WAITS)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError("the server closed the good client's connection")
        self._data += data

    def take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._receive()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def take_head(self) -> bytes:
        while b"\r\n\r\n" not in self._data:
            self._receive()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        return head

    def take_answer(self) -> int:
        """Read an answer with Content-Length. Returns its status."""
        status, *lines = self.take_head().lower().split(b"\r\n")
        for line in lines:
            if line.startswith(b"content-length:"):
                self.take(int(line.partition(b":")[2]))
        return int(status.split()[1])

    def take_frame(self) -> dict[str, object]:
        """Read a WebSocket frame of text."""
        length = self.take(2)[1]
        if length == 126:
            length = struct.unpack(">H", self.take(2))[0]
        frame: dict[str, object] = json.loads(self.take(length))
        return frame


class GoodClient:
    """A publisher on one connection and a listener on another. Raises OSError or EOFError if it cannot join.

    `keeps`: False if each push has a connection of its own.
    """

    def __init__(self, port: int, *, keeps: bool = True) -> None:
        self._port = port
        self._keeps = keeps
        self._publisher = _Stream(port)
        self._listener = _Stream(port)
        self._listener.send(wire.request("GET", f"/{KEY}/websocket?identifiers=probe", wire.UPGRADE))
        self._listener.take_head()
        self._listener.take_frame()
        self._number = 0

    def measure(self, seconds: float, cpu: Callable[[], float] = float) -> Latencies:
        """Push for so many seconds. `cpu()`: the CPU time of the server."""
        latencies = Latencies()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began, cpu_began = time.perf_counter(), cpu()
            try:
                self._push(latencies)
            except (OSError, EOFError) as reason:
                latencies.errors.append(repr(reason))
                break  # without its connections the client can measure nothing
            latencies.seconds.append(time.perf_counter() - began)
            latencies.cpu.append(cpu() - cpu_began)
            time.sleep(max(0, EVERY - (time.perf_counter() - began)))
        return latencies

    def _push(self, latencies: Latencies) -> None:
        """Push, and wait for the answer and for the frame."""
        self._number += 1
        text = str(self._number)
        secure = wire.md5(KEY + wire.md5(SECRET) + "probe" + text)
        body = urlencode({"text": text, "secret": 0, "secure": secure}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if not self._keeps:
            self._publisher.socket.close()
            self._publisher = _Stream(self._port)
        self._publisher.send(wire.request("POST", f"/{KEY}/push/probe", headers, body))
        if (status := self._publisher.take_answer()) != 200:
            latencies.errors.append(f"a push was answered with {status}")
            return
        while self._listener.take_frame().get("text") != text:
            pass

    def close(self) -> None:
        """Close both connections."""
        self._publisher.socket.close()
        self._listener.socket.close()
