"""One thread of one's own, for work that may wait for a disk.

The reactor's pool is not used, because the end of the process waits for its threads. This thread is a daemon. Work is done in
the order in which it was asked for, one piece at a time, so that an object that only this thread uses needs no lock.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.runtime.reactor import Reactor

T = TypeVar("T")
Work = Callable[[], None]


class OwnThread:
    """`name`: that of the thread, for a debugger."""

    def __init__(self, reactor: Reactor, name: str) -> None:
        self._reactor = reactor
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the work that it has. Nobody waits for that."""
        self._queue.put(None)

    def run(self, function: Callable[..., T], *args: object) -> Deferred[T]:
        """Call a function in the thread. Fires in the reactor's thread with its result or its exception."""
        done: Deferred[T] = Deferred()

        def work() -> None:
            try:
                result: T | Failure = function(*args)
            except Exception:  # noqa: BLE001 - it is the caller's
                result = Failure()
            self._reactor.callFromThread(done.callback, result)

        self._queue.put(work)
        return done

    def _work(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            work()
