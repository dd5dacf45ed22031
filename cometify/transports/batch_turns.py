"""The turns of long batches. Theory of operation.

To read a batch of 8 MiB, to check it and to give it to the engine takes 20 ms and more. So all of that is done in *portions*.
Each turn of the event loop has one portion, and batches have them by turns.

A batch that waits to be read keeps its whole body, which counts in `http.long_bodies` while its peer is there. But the peer may
have left, and another connection may bring the next one. So with more than `MOST_KEPT` bytes of bodies, the batch that came
first is read to its end at once.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from twisted.internet.defer import Deferred

from cometify.core.steps import Steps
from cometify.runtime.reactor import CallLater

LONGEST = 0.001
"""Seconds of CPU time after which a portion takes no further step. One long step can take more: see `core.json_items`."""
MOST_KEPT = 64 * 2**20
"""Bytes of the bodies that wait to be read: twice as many as those of peers that are there."""

T = TypeVar("T")


class _Waiting(Protocol):
    """A reading, whatever its result is."""

    size: int

    def take_steps(self, goes_on: Callable[[], bool]) -> bool: ...


class _Reading(Generic[T]):
    """A batch that is being read and checked. `size`: the bytes of its body. `result` fires with the result of the steps."""

    def __init__(self, steps: Steps[T], size: int) -> None:
        self._steps = steps
        self.size = size
        self.result: Deferred[T] = Deferred()

    def take_steps(self, goes_on: Callable[[], bool]) -> bool:
        """Take steps while `goes_on()`. Returns True if that was the last one, or all were taken before."""
        if self.result.called:
            return True
        try:
            while goes_on():
                next(self._steps)
        except StopIteration as stop:
            self.result.callback(stop.value)
        except Exception:  # noqa: BLE001 - whoever waits for the result deals with it
            self.result.errback()
        return bool(self.result.called)


class BatchTurns:
    """`later`: reactor.callLater. `cpu_seconds`: the clock that measures portions. `most_kept`: see `MOST_KEPT`."""

    def __init__(
        self, later: CallLater, cpu_seconds: Callable[[], float] = time.thread_time, most_kept: int = MOST_KEPT
    ) -> None:
        self._later = later
        self._cpu_seconds = cpu_seconds
        self._most_kept = most_kept
        self._portions: deque[Callable[[], None]] = deque()
        self._readings: OrderedDict[_Waiting, None] = OrderedDict()  # in the order in which they came
        self._kept = 0  # bytes of their bodies

    def wait(self, portion: Callable[[], None]) -> None:
        """Do a portion in a later turn of the event loop."""
        if not self._portions:
            self._later(0, self._do_next)
        self._portions.append(portion)

    def _do_next(self) -> None:
        try:
            self._portions[0]()  # stays there, so that it sets no second call if it waits for its next turn
        finally:
            self._portions.popleft()
            if self._portions:
                self._later(0, self._do_next)

    def take(self, steps: Steps[T], size: int) -> Deferred[T]:
        """Read a batch in portions. `size`: the bytes that it keeps until then. Fires with the result of the steps."""
        reading = _Reading(steps, size)
        self._kept += size
        while self._readings and self._kept > self._most_kept:
            first, _ = self._readings.popitem(last=False)
            self._kept -= first.size
            first.take_steps(lambda: True)
        self._readings[reading] = None
        self.wait(lambda: self._take_portion(reading))
        return reading.result

    def _take_portion(self, reading: _Reading[T]) -> None:
        end = self._cpu_seconds() + LONGEST
        if not reading.take_steps(lambda: self._cpu_seconds() < end):
            self.wait(lambda: self._take_portion(reading))
        elif reading in self._readings:
            del self._readings[reading]
            self._kept -= reading.size
