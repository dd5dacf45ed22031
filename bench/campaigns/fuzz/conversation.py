"""One input on a connection of its own, from the first byte to the close, without waiting."""

import socket
import struct

from bench.campaigns.fuzz.answers import AnswerReader, Wrong
from bench.campaigns.fuzz.inputs import Input

TARGET = "127.0.0.1"
ANSWERS_WITHIN = 15.0
"""Seconds for the answers that must come. A poll is answered after a heartbeat, which is one second here."""
CLOSES_WITHIN = 15.0
"""Seconds in which the server closes when the client has shut down its side."""
PLAYS_WITHIN = 20.0
"""Seconds after which an input that is still being sent is too slow. The server may close it then: a head has 30 s."""
QUIET = 0.03
"""Seconds before a conversation whose answers are not known is ended."""
SILENT = 75.0
"""The longest silence of the server on an open connection: an idle one is closed after 60 s, looked at once a second."""
WAITS = 80.0
"""The most seconds that a conversation waits for the server to close. Listeners get heartbeats for ever."""
_ADDRESSES = 2000
_ABRUPT = struct.pack("ii", 1, 0)
_READ = 1 << 16


class Conversation:
    """A connection and its input. `deadline`: the time at which `late` is to be called. `fault`: what went wrong.

    `write`, `read` and `late` return nothing. `is_over` tells that the connection is closed. `now` is an argument.
    """

    def __init__(self, given: Input, port: int, now: float, *, patient: bool) -> None:
        self.input = given
        self.reader = AnswerReader(loose=b"HEAD" in b"".join(given.pieces))
        self.fault = ""
        self.is_over = False
        self._pieces = list(reversed(given.pieces))
        self._is_first = True
        self._waits = patient and given.ending == "wait"
        self._has_shut = False
        self._began = now
        self._is_slow = False
        self._until = now + WAITS
        self.deadline = now + ANSWERS_WITHIN
        number = given.number % _ADDRESSES
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((f"127.9.{number // 200}.{1 + number % 200}", 0))
        self.socket.connect_ex((TARGET, port))

    @property
    def is_waiting(self) -> bool:
        """True if the conversation waits for the server to close, which takes a minute."""
        return self._waits and not self._pieces

    @property
    def wants_to_write(self) -> bool:
        """True if a piece may be sent now."""
        held = self.input.awaits and not self._is_first and not self.reader.answers
        return bool(self._pieces) and not held

    def write(self, now: float) -> None:
        """Send a piece, or as much of it as the socket takes."""
        self._is_slow = now - self._began > PLAYS_WITHIN
        piece = self._pieces.pop()
        try:
            sent = self.socket.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._pieces.clear()  # the server has closed, and its answer may still be read
            return
        if sent < len(piece):
            self._pieces.append(piece[sent:])
        self._is_first = False
        if not self._pieces:
            self._all_is_sent(now)
        elif sent:
            self.deadline = now + ANSWERS_WITHIN

    def _all_is_sent(self, now: float) -> None:
        if self.input.ending == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPT)
            self._end()
        elif self._is_satisfied or (self._waits and not self.input.answers):
            self._finish(now)
        else:
            self.deadline = now + (ANSWERS_WITHIN if self.input.answers else QUIET)

    @property
    def _is_satisfied(self) -> bool:
        return 0 < self.input.answers <= self.reader.answers and not self.input.closes

    def read(self, now: float) -> None:
        """Read what has come, and judge it."""
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._closed()
            return
        try:
            self.reader.feed(data)
        except Wrong as wrong:
            self._fail(str(wrong))
            return
        if self._waits and not self._pieces:
            self.deadline = min(now + SILENT, self._until)
        elif self._is_satisfied and not self._pieces and not self._has_shut:
            self._finish(now)

    def _closed(self) -> None:
        if self.reader.answers < self.input.answers and not (self._has_shut or self._is_slow):
            self._fail(f"closed after {self.reader.answers} of {self.input.answers} answers")
        self._end()

    def _finish(self, now: float) -> None:
        """Wait for the server to close, or shut this side down and see that the server closes."""
        if self._waits:
            self.deadline = min(now + SILENT, self._until)
            return
        self._has_shut = True
        self.deadline = now + CLOSES_WITHIN
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end()

    def late(self, now: float) -> None:
        """Deal with the deadline."""
        if self._pieces:
            self._fail(f"the server has taken no byte for {ANSWERS_WITHIN:.0f} s")
        elif self.reader.answers < self.input.answers:
            self._fail(f"{self.reader.answers} of {self.input.answers} answers within {ANSWERS_WITHIN:.0f} s")
        elif self._has_shut:
            self._fail(f"still open {CLOSES_WITHIN:.0f} s after the client has shut down its side")
        elif self._waits and now < self._until:
            self._fail(f"open and silent for {SILENT:.0f} s")
        elif self.input.closes and not self._waits:
            self._fail(f"not closed by the server within {ANSWERS_WITHIN:.0f} s")
        else:
            self._waits = False
            self._finish(now)

    def _fail(self, fault: str) -> None:
        self.fault = self.fault or fault
        self._end()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.socket.close()
