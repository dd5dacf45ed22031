"""Periodic tasks of a server."""

from collections.abc import Callable
from typing import cast

from twisted.internet import task
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.runtime.reactor import Reactor

log = Logger()


class PeriodicTask:
    """A function that is called every `seconds`.

    A call that fails is logged with the task's name, and the next call comes all the same. A Deferred that the function
    returns is waited for.
    """

    def __init__(self, name: str, seconds: float, function: Callable[[], object], reactor: Reactor) -> None:
        self._name = name
        self._seconds = seconds
        self._call = task.LoopingCall(function)
        # A LoopingCall uses the two methods of IReactorTime that a Reactor has.
        self._call.clock = cast("IReactorTime", reactor)

    def start(self) -> None:
        """Call the function for the first time in `seconds`."""
        self._call.start(self._seconds, now=False).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        log.failure("Periodic task {name} failed", failure, name=self._name)
        self.start()

    def stop(self) -> None:
        """End the calls."""
        if self._call.running:
            self._call.stop()
