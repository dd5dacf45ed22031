"""A reactor with a clock that the test moves, and with real connections to Redis that are read when the test says so."""

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import ClientFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from tests.redis import RedisConnection

ROOM = 1 << 15
"""Bytes that a Unix socket always takes in one write."""


class SocketTransport:
    """The client's end of a real connection. Data waits in the kernel until `pump`. `received`: the bytes so far."""

    disconnecting = False

    def __init__(self, reactor: "SocketReactor", path: str) -> None:
        self.reactor = reactor
        self.path = path
        self.protocol: Any = None
        self.received = 0
        self.socket: socket.socket | None = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def write(self, data: bytes) -> None:
        if self.socket is not None:
            self.reactor.moved = True
            try:
                self.socket.sendall(data)
            except OSError:
                self.lose()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def getPeer(self) -> UNIXAddress:
        return UNIXAddress(self.path)

    def getHost(self) -> UNIXAddress:
        return UNIXAddress("")

    def loseConnection(self) -> None:
        self._close(ConnectionDone())

    def abortConnection(self) -> None:
        self._close(ConnectionDone())

    def lose(self) -> None:
        """End the connection as the network or Redis would."""
        self._close(ConnectionLost())

    def _close(self, why: Exception) -> None:
        if self.socket is None:
            return
        self.disconnecting = True
        self.socket.close()
        self.socket = None
        self.reactor.transports.remove(self)
        self.reactor.callLater(0, self.protocol.connectionLost, Failure(why))

    def unread(self) -> int:
        """The number of bytes that Redis has not read yet."""
        if self.socket is None:
            return 0
        (size,) = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))
        return size

    def pump(self, most: int = 1 << 18) -> bool:
        """Hand up to `most` bytes to the protocol. Returns False if there was nothing."""
        if self.socket is None:
            return False
        left = self.reactor.left
        try:
            data = self.socket.recv(most if left is None else max(1, min(most, left)), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self.received += len(data)
            # After so much data Redis may have more, which it writes when there is room.
            self.reactor.moved |= len(data) > ROOM
            if left is not None:
                self.reactor.left = left - len(data) if left > len(data) else None
            self.protocol.dataReceived(data)
            if left is not None and self.reactor.left is None:
                self.lose()
        else:
            self.lose()
        return True


class SocketReactor(MemoryReactorClock):
    """`tell()`: called when time has passed, before anything that is due then.

    `moved`: whether anything was sent since the last `pump`. `left`: the number of bytes from Redis after which the
    connection that brings them is cut, or None. `is_busy`: nothing is read, as if other connections came first.
    `is_silent`: nothing comes from Redis, as if it were frozen.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell
        self.transports: list[SocketTransport] = []
        self.left: int | None = None
        self.moved = False
        self.is_busy = self.is_silent = False
        self._barrier: RedisConnection | None = None

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        self._tell()
        super().advance(0)

    def connectUNIX(self, address: str, factory: ClientFactory, timeout: float = 30, checkPID: int = 0) -> Any:
        connector = _Connector(factory)
        try:
            transport = SocketTransport(self, address)
        except OSError as error:
            self.callLater(0, factory.clientConnectionFailed, connector, Failure(error))
            return connector
        self.transports.append(transport)
        self.moved = True
        protocol = factory.buildProtocol(transport.getPeer())
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if self._barrier is not None:  # that one may be connected to a process that has ended
            self._barrier.close()
        self._barrier = RedisConnection(address)
        return connector

    def pump(self) -> bool:
        """Wait until Redis has done its commands, and read all connections. Returns False if there was nothing to read."""
        if self.is_busy:
            return False
        for reader in list(self.readers):
            reader.doRead()
        if self.is_silent:
            return False
        if self.moved:
            self._wait_for_redis()
            self.moved = False
        heard = [transport.pump() for transport in list(self.transports)]
        return any(heard)

    def _wait_for_redis(self) -> None:
        """Wait until Redis has done everything that it was sent.

        It has when it answers the second of two commands. The first can be read in the same turn of its event loop.
        """
        assert self._barrier is not None
        until = time.monotonic() + 30
        while any(transport.unread() for transport in self.transports):
            assert time.monotonic() < until, "Redis does not read its commands"
            self._barrier.command("PING")
        for _ in range(2):
            self._barrier.command("PING")

    def close(self) -> None:
        for transport in self.transports:
            if transport.socket is not None:
                transport.socket.close()
                transport.socket = None
        self.transports.clear()
        for reader in list(self.readers):
            self.removeReader(reader)
            reader.connectionLost(Failure(ConnectionDone()))
        if self._barrier is not None:
            self._barrier.close()
            self._barrier = None


class _Connector:
    def __init__(self, factory: ClientFactory) -> None:
        self._factory = factory

    def stopConnecting(self) -> None:
        """Nothing to stop: a connection is made or has failed at once."""

    def disconnect(self) -> None:
        """Nothing to do: see `stopConnecting`."""
