"""Connections that have waited for too long to be accepted, so that serving them is in vain.

A client waits five seconds for its first frame, leaves, and comes again. When more clients come at once than the process can
serve in that time, each connection that is accepted is one whose client has left:

    4,096 connections wait, and a process that shares its core lets 400 listeners join in a second.
    The last of them waits for 10 s, and its client has left after 5 s.
    Those who come again meanwhile wait behind it, and have left too when their turn comes.

This goes on without an end, and nobody joins: 38,000 listeners of two busy workers were seen to do so. To close the
connections that were left is not enough, because the next in the queue has waited for nearly five seconds, and leaves
before it is answered. So whoever has waited for half of that time is closed too, for half of the work of a join at most. Its
client comes again after a while, as after any failure, and those that are accepted have time to be answered.

The same happens behind the queue. To accept a connection is cheaper than to serve it, so a process that accepts all of them
soon has thousands that wait to be read. So in a storm a connection is judged again before its first read, and not only after
its request was read and its handshake done. And ports accept little while the crowd waits for long (`read_order.LATE`).

The kernel tells how long ago the peer has sent its last bytes, and whether it has closed its side. A request seldom waits so
long. So one connection in `LOOK_EVERY` is looked at, until one of them was left.
"""

import socket
import struct
from contextlib import suppress

from cometify.runtime.proxy_protocol import behind_header

LOOK_EVERY = 16
"""Connections of which one is looked at. A look costs some 4 us."""
LOOK_AFTER = 4096
"""Looks in a row, once one connection was left. A connection gets up to three: when it is accepted, first read, and joins."""
LEFT_AFTER = 1000
"""Milliseconds. A program that closes its side of a connection as soon as it has asked waits for its answer, and has not left.
Its connection is accepted sooner, except in a storm."""
TOO_LATE = 2500
"""Milliseconds after which a connection is closed in a storm. Clients wait for twice as long."""

_INFO = struct.Struct("=B51xI")
"""The beginning of `struct tcp_info`: tcpi_state, and tcpi_last_data_recv at byte 52."""
_CLOSE_WAIT = 8
"""The peer has closed its side."""
_MAY_BE_A_PUSH = b"P"
"""The first byte of a POST. Such a request is served, whether or not somebody waits for the answer."""
_LOOKED_AT = 512
"""Bytes that are looked at: the header of the PROXY protocol, and the first byte behind it."""


class LeftPeers:
    """Finds connections that are not worth serving. `count`: those that were closed. The times are milliseconds."""

    def __init__(self, left_after: int = LEFT_AFTER, too_late: int = TOO_LATE) -> None:
        self.count = 0
        self._left_after = left_after
        self._too_late = too_late
        self._passed = 0
        self._looks = 0

    @property
    def is_storm(self) -> bool:
        """True if a connection was left a short while ago."""
        return self._looks > 0

    def comes_too_late(self, descriptor: int) -> bool:
        """Return True if a connection that was just accepted must be closed."""
        return self._must_close(descriptor, is_read=False)

    def is_read_too_late(self, descriptor: int) -> bool:
        """Return True if a connection must be closed before it is read for the first time. False except in a storm."""
        return self.is_storm and self._must_close(descriptor, is_read=False)

    def has_left(self, descriptor: int) -> bool:
        """Return True if a connection must be closed although its request was read. The request is none to push."""
        return self._must_close(descriptor, is_read=True)

    def _must_close(self, descriptor: int, *, is_read: bool) -> bool:
        if self._looks:
            self._looks -= 1
        else:
            self._passed += 1
            if self._passed % LOOK_EVERY:
                return False
        with suppress(OSError):  # not a socket of TCP, or it was reset, or nothing has come from it
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
            try:
                return self._judge(connection, is_read=is_read)
            finally:
                connection.detach()
        return False

    def _judge(self, connection: socket.socket, *, is_read: bool) -> bool:
        state, waited = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
        is_left = state == _CLOSE_WAIT and waited >= self._left_after
        if not (is_left or (self.is_storm and waited >= self._too_late)):
            return False
        if not is_read:
            begun = connection.recv(_LOOKED_AT, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            if behind_header(begun).startswith(_MAY_BE_A_PUSH):
                return False
        if is_left:
            self._looks = LOOK_AFTER
        self.count += 1
        return True


LEFT = LeftPeers()
"""All connections of the public ports of this process."""
