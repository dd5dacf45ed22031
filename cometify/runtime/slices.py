"""Work on many things at once, in steps that the event loop can afford."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import attrs
from twisted.logger import Logger

from cometify.runtime.epoll_loop import CallSoon

STEP = 32
"""Listeners in one step. To end one takes about 30 us, so a step takes about a millisecond at most."""

LONGEST = 0.003
"""Seconds of CPU time of a step. The rest waits for the next step, because one listener can cost as much as a hundred."""
TIMED = 4
"""Items between two looks at the CPU time, because one takes a third of a microsecond."""

T = TypeVar("T")

log = Logger()


@attrs.define(eq=False)
class _Job(Generic[T]):
    """One task, and the items that it has not served yet."""

    task: str
    items: Iterator[T]
    begin: Callable[[], Callable[[T], object]]
    done: Callable[[], None] | None


class SlicedWork(Generic[T]):
    """Serves many items, at most `most` of them in one turn of the event loop, and fewer if they take `LONGEST` already.

    The passing of time, a reload, the loss of Redis or the end of the server can concern any number of listeners or
    requests at once. To end 70,000 listeners in one step would take two seconds, in which no push is delivered and no
    request answered.

    Jobs are done in the order in which they were added, from the next turn on. `call_soon(0, function)` makes a call in the
    next turn. `in_words` names an item in the log. `clock` counts the seconds of CPU time.
    """

    def __init__(
        self,
        call_soon: CallSoon,
        in_words: Callable[[T], str],
        most: int = STEP,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._call_soon = call_soon
        self._in_words = in_words
        self._most = most
        self._clock = clock
        self._jobs: deque[_Job[T]] = deque()
        self._is_set = False  # True while a step is due or under way

    @property
    def is_busy(self) -> bool:
        """True until every item of every job was served."""
        return self._is_set

    def add(
        self,
        task: str,
        items: Iterable[T],
        begin: Callable[[], Callable[[T], object]],
        *,
        at_once: bool = False,
        done: Callable[[], None] | None = None,
    ) -> None:
        """Serve the items in the turns that follow.

        `begin` is called at the beginning of each step, and returns the function that is called for each item of
        the step. An item can have changed by then, or be gone, so this function must look at its state. An error
        is logged with the name of the `task`, and the other items are served.

        `at_once`: take the first step now unless other jobs wait, so that a few items are served before anything else is
        read. `done`: called when the last item was served.
        """
        # A copy, because listeners join and part between two steps. It takes 5 ns an item.
        self._jobs.append(_Job(task, iter(list(items)), begin, done))
        if at_once and not self._is_set:
            self._step()
        else:
            self._start()

    def serve_all(self, task: str, items: Iterable[T], serve: Callable[[T], object]) -> None:
        """Serve all items now, in one step however long that takes, because nothing else may happen before."""
        for item in list(items):
            self._serve_one(task, serve, item)

    def _start(self) -> None:
        if self._jobs and not self._is_set:
            self._is_set = True
            self._call_soon(0, self._step)

    def _step(self) -> None:
        self._is_set = True
        left, end = self._most, self._clock() + LONGEST
        try:
            while self._jobs and left:
                job = self._jobs.popleft()
                left = self._serve(job, left, end)
                if not left:
                    self._jobs.appendleft(job)  # more of its items may be left
                elif job.done is not None:
                    job.done()
        finally:
            self._is_set = False
            self._start()

    def _serve(self, job: _Job[T], most: int, end: float) -> int:
        """Serve up to `most` items of a job, until `end`. Returns how many more this step may serve."""
        serve = job.begin()
        for item in islice(job.items, most):
            most -= 1
            self._serve_one(job.task, serve, item)
            if not most % TIMED and self._clock() >= end:
                return 0
        return most

    def _serve_one(self, task: str, serve: Callable[[T], object], item: T) -> None:
        try:
            serve(item)
        except Exception:  # noqa: BLE001 - a fault with one item must not keep the others waiting
            log.failure("{task} failed for {item}", task=task, item=self._in_words(item))
