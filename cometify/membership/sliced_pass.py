"""Go through many listeners without holding up everything else."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from twisted.logger import Logger

from cometify.core.listener import Listener
from cometify.runtime.epoll_loop import CallSoon

PER_STEP = 32
"""Listeners of one step of the reactor: about a millisecond where each of them is written to."""

log = Logger()


class SlicedPass:
    """Calls `visit(listener)` for many listeners, `PER_STEP` in each step of the reactor.

    To end 70,000 listeners in one step would take two seconds, in which no push is delivered and no request answered.
    `task`: the name of the pass in the log. The first step is taken at once, so that few listeners need no second one.
    """

    def __init__(self, task: str, call_soon: CallSoon, visit: Callable[[Listener], None]) -> None:
        self._task = task
        self._call_soon = call_soon
        self._visit = visit
        self._left: Iterator[Listener] = iter(())
        self.is_running = False

    def start(self, listeners: Iterable[Listener]) -> None:
        """Visit all of `listeners`, which must not change meanwhile. A listener may be gone when its visit comes.

        Replaces a pass that is still running: `listeners` must contain those that it has not reached yet.
        """
        self._left = iter(listeners)
        if not self.is_running:
            self.is_running = True
            self._step()

    def _step(self) -> None:
        listeners = list(islice(self._left, PER_STEP))
        for listener in listeners:
            try:
                self._visit(listener)
            except Exception:  # noqa: BLE001 - a fault in one listener must not spare the others
                log.failure(
                    "{task} failed for a listener on {transport}", task=self._task, transport=listener.encoding.name
                )
        if len(listeners) == PER_STEP:
            self._call_soon(0, self._step)
        else:
            self.is_running = False
