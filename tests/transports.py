"""The server's end of a connection to a test: two transports that keep what they are told to send."""

import errno
import os
from typing import Any, Protocol

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from cometify.runtime.tcp import EagerServer

PORT = 40000
"""The port of every peer."""
_DEVNULL = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
"""The file descriptor of every socket that is none: it is never ready, and no question about it has an answer."""


class WireTransport(Protocol):
    """A transport as `Wire` uses it."""

    protocol: Any
    disconnecting: Any
    aborted: bool
    producer: Any

    def value(self) -> bytes:
        """Everything that the peer was sent since the last `clear`."""

    def clear(self) -> None:
        """Forget it."""

    def lose(self) -> None:
        """The peer is gone without a word."""

    def stop_reading(self) -> None:
        """The peer reads nothing until `read_again`."""

    def read_one_write(self) -> None:
        """The peer reads one write, and then nothing until `read_again`."""

    def read_again(self) -> None:
        """The peer reads everything."""


class BufferedTransport(StringTransport):
    """Takes everything that is written, as TLS and Unix sockets do, and tells its producer when to pause."""

    protocol: Any
    aborted = False

    def __init__(self, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, PORT))
        self._pauses = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self._pauses:
            self.producer.pauseProducing()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed. TLS asks for it."""

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def lose(self) -> None:
        self.connected = False
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def stop_reading(self) -> None:
        self.producer.pauseProducing()

    def read_one_write(self) -> None:
        self._pauses = True

    def read_again(self) -> None:
        self._pauses = False
        if self.producer is not None:
            self.producer.resumeProducing()


class PeerSocket:
    """A socket whose peer is the test. `room`: how many bytes it takes; None: all. `writes`: how many writes; None: all."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.room: int | None = None
        self.writes: int | None = None
        self.options: dict[tuple[int, int], int] = {}

    @property
    def is_writable(self) -> bool:
        return self.room != 0 and self.writes != 0

    def send(self, data: bytes) -> int:
        if not self.is_writable:
            raise BlockingIOError(errno.EAGAIN, "the peer reads nothing")
        size = len(data) if self.room is None else min(len(data), self.room)
        self.sent += memoryview(data)[:size]
        if self.room is not None:
            self.room -= size
        if self.writes is not None:
            self.writes -= 1
        return size

    def fileno(self) -> int:
        return _DEVNULL

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 80

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[level, option] = value

    def setblocking(self, blocking: bool) -> None:
        assert not blocking

    def shutdown(self, how: int) -> None:
        """Nothing hears it."""

    def close(self) -> None:
        """The descriptor belongs to all."""


class EagerTransport(EagerServer):
    """The transport of production over a socket whose peer is the test.

    The test's reactor waits for nothing. `turn` does what a real one does once the socket is writable.
    """

    aborted = False

    def __init__(self, host: str, protocol: Any, reactor: Any) -> None:
        self.peer = PeerSocket()
        super().__init__(self.peer, protocol, (host, PORT), None, 0, reactor)  # type: ignore[arg-type]
        self.repstr = f"<EagerTransport of {host}>"

    def value(self) -> bytes:
        return bytes(self.peer.sent)

    def clear(self) -> None:
        self.peer.sent.clear()

    @property
    def producerState(self) -> str:
        """As StringTransport has it: whether the peer's bytes are being read."""
        return "producing" if self in self.reactor.readers else "paused"

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def turn(self) -> None:
        """Write what waits, and end the connection if that was all there was to do."""
        if self.peer.is_writable:
            why = self.doWrite()
            if why is not None:
                self._end(why)

    def lose(self) -> None:
        if self.connected:
            self._end(ConnectionLost())

    def _end(self, why: Any) -> None:
        self.stopReading()
        self.stopWriting()
        self.connectionLost(Failure(why))

    def stop_reading(self) -> None:
        self.peer.room = 0

    def read_one_write(self) -> None:
        self.peer.writes = 1

    def read_again(self) -> None:
        self.peer.room = self.peer.writes = None
