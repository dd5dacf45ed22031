"""A turn of the reactor, with less around each read and around each slice of the sweep."""

from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger
from twisted.python.log import callWithLogger

from cometify.net import EagerServer

Soon = Callable[[float, Callable[[], None]], object]
"""As callLater, but `seconds` is 0: after what is being read now, and before anything is waited for."""

log = Logger()


def shorten(reactor: Any) -> Soon:
    """Give an epoll reactor the short turn; every other one keeps its own. Returns the callLater for what is due at once."""
    if type(reactor) is not EPollReactor:
        return reactor.callLater  # type: ignore[no-any-return]
    try:
        turn: Any = ShortTurn(reactor)
    except AttributeError as error:
        log.error(  # noqa: TRY400 - the reason is in the line
            "This Twisted has another epoll reactor, whose turns stay as they are: {error}", error=str(error)
        )
        return reactor.callLater
    reactor.doIteration = turn  # type: ignore[method-assign]
    return turn.soon  # type: ignore[no-any-return]


class ShortTurn:
    """Instead of EPollReactor.doPoll.

    - A read of an eager transport gets no logging context of its own. Making one costs as much as reading a small
      request (4 of 45 us a push), and it would name the connection in lines of the log that nobody here writes.
    - What is due at once is no DelayedCall, put into a heap and taken out again (3 us a slice).
    """

    def __init__(self, reactor: Any) -> None:
        self._poll = reactor._poller.poll
        self._selectables = reactor._selectables
        self._readable = reactor._POLL_IN
        self._read_or_write = reactor._doReadOrWrite
        self._disconnect = reactor._disconnectSelectable
        self._due: list[Callable[[], None]] = []

    def soon(self, _seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called at the end of this turn, or of the next one if this one is ending."""
        self._due.append(call)

    def __call__(self, timeout: float | None) -> None:
        if self._due:
            timeout = 0
        selectables, readable = self._selectables, self._readable
        for fd, event in self._poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(fd)  # or it has gone in this turn
            if event == readable and isinstance(selectable, EagerServer):
                try:
                    why: Any = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - as the reactor has it: this connection ends, not the server
                    log.failure("A connection is ended, for what it sent could not be dealt with")
                    why = error
                if why:
                    self._disconnect(selectable, why, True)
            elif selectable is not None:
                callWithLogger(selectable, self._read_or_write, selectable, fd, event)
        if self._due:
            self._do_what_is_due()

    def _do_what_is_due(self) -> None:
        calls, self._due = self._due, []  # what they ask for is for the next turn
        for call in calls:
            try:
                call()
            except Exception:  # noqa: BLE001 - as the reactor has it
                log.failure("What was due at once could not be done")
