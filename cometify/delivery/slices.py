"""Work on many listeners, in steps that the event loop can afford."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import attrs
from twisted.logger import Logger

from cometify.core.listener import Listener
from cometify.runtime.epoll_loop import CallSoon

STEP = 32
"""Listeners in one step. To end one takes about 30 us, so a step takes about a millisecond at most."""

log = Logger()


@attrs.define(eq=False)
class _Job:
    """One task, and the listeners that it has not served yet."""

    task: str
    listeners: Iterator[Listener]
    begin: Callable[[], Callable[[Listener], None]]


class SlicedWork:
    """Serves many listeners, at most `STEP` of them in one turn of the event loop.

    The passing of time, a reload or the end of the server can concern any number of listeners at once. To end 70,000
    listeners in one step would take two seconds, in which no push is delivered and no request answered.

    Jobs are done in the order in which they were added, from the next turn on. `call_soon(0, function)` makes a call in the
    next turn.
    """

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._jobs: deque[_Job] = deque()
        self._is_set = False

    @property
    def is_busy(self) -> bool:
        """True until every listener of every job was served."""
        return bool(self._jobs)

    def add(
        self,
        task: str,
        listeners: Iterable[Listener],
        begin: Callable[[], Callable[[Listener], None]],
        *,
        at_once: bool = False,
    ) -> None:
        """Serve the listeners in turns to come.

        `begin` is called at the beginning of each step, and returns the function that is called for each listener of
        the step. A listener can have changed by then, or be gone, so this function must look at its state. An error
        is logged with the name of the `task`, and the other listeners are served.

        `at_once`: take the first step now unless other jobs wait, so that a few
        listeners are served before anything else is read.
        """
        is_first = not self._jobs
        # A copy, because listeners join and part between two steps. It takes 5 ns a listener.
        self._jobs.append(_Job(task, iter(list(listeners)), begin))
        if at_once and is_first:
            self._step()
        else:
            self._start()

    def _start(self) -> None:
        if self._jobs and not self._is_set:
            self._is_set = True
            self._call_soon(0, self._step)

    def _step(self) -> None:
        self._is_set = False
        left = STEP
        try:
            while self._jobs and left:
                job = self._jobs.popleft()
                left -= self._serve(job, left)
                if not left:
                    self._jobs.appendleft(job)  # more of its listeners may be left
        finally:
            self._start()

    @staticmethod
    def _serve(job: _Job, most: int) -> int:
        """Serve up to `most` listeners of a job. Returns how many there were."""
        served = 0
        serve = job.begin()
        for listener in islice(job.listeners, most):
            served += 1
            try:
                serve(listener)
            except Exception:  # noqa: BLE001 - a fault with one listener must not keep the others waiting
                log.failure(
                    "{task} failed for a listener on {transport}", task=job.task, transport=listener.encoding.name
                )
        return served
