"""A turn of the reactor, with less around each read of an eager transport."""

from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

from cometify.net import EagerServer

_READABLE = EPollReactor._POLL_IN


def shorten(reactor: Any) -> None:
    """Have an epoll reactor read from eager transports without the logging context that it makes for each event.

    That costs as much as reading a small request does, and names the connection only in lines of the log that nobody
    here writes. Every other event, and every other reactor, goes its ordinary way.
    """
    if type(reactor) is not EPollReactor:
        return
    poll, selectables = reactor._poller.poll, reactor._selectables
    ordinary, disconnect = reactor._doReadOrWrite, reactor._disconnectSelectable

    def turn(timeout: float | None) -> None:
        for fd, event in poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(fd)  # or it has gone in this turn
            if event == _READABLE and isinstance(selectable, EagerServer):
                try:
                    why = selectable.doRead()
                except BaseException as error:  # noqa: BLE001 - as the reactor has it: the connection ends, not the server
                    log.err(system=selectable.logPrefix())
                    why = error
                if why:
                    disconnect(selectable, why, True)
            elif selectable is not None:
                log.callWithLogger(selectable, ordinary, selectable, fd, event)

    reactor.doIteration = turn
