"""The numbers of open connections of all workers, in memory that they share. So each knows whether it has more than others.

The supervisor makes the memory and passes it on as a descriptor. It holds a number for each worker, which only that worker
changes while it listens. A number that is read is at most a moment old, and nothing but the choice of a worker depends on it.
"""

import mmap
import os
from typing import Self

_ABSENT = -1
"""The number of a worker that does not listen."""
_SIZE = 8
FREE = 2
"""Connections beyond those of another worker, above which a worker is far ahead. A sixteenth of its own if that is more."""
ALONE = 1024
"""Connections that a worker may accept at once while no other listens: more than it ever does."""


class ConnectionCounts:
    """The numbers behind a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.values = memoryview(mmap.mmap(descriptor, 0)).cast("q")

    @classmethod
    def of_none(cls, workers: int) -> Self:
        """Make the memory for so many workers, none of which listens yet."""
        descriptor = os.memfd_create("connections")
        os.ftruncate(descriptor, _SIZE * workers)
        made = cls(descriptor)
        for number in range(1, workers + 1):
            made.forget(number)
        return made

    def forget(self, number: int) -> None:
        """Note that a worker does not listen. Workers are numbered from 1 on."""
        self.values[number - 1] = _ABSENT


class ConnectionShare:
    """A worker's connections to its public ports, beside those of the other workers. `number`: that of this worker."""

    def __init__(self, counts: ConnectionCounts, number: int) -> None:
        self._counts = counts
        self._number = number
        self._open = 0
        self._listens = False

    @classmethod
    def inherited(cls, number: int, descriptor: int) -> Self:
        """Take the memory that the supervisor passes on."""
        os.set_inheritable(descriptor, False)
        return cls(ConnectionCounts(descriptor), number)

    def begin(self) -> None:
        """Note that this worker listens."""
        self._listens = True
        self._counts.values[self._number - 1] = self._open

    def end(self) -> None:
        """Note that this worker does not listen any longer."""
        self._listens = False
        self._counts.forget(self._number)

    def opened(self) -> None:
        """Count a connection."""
        self._open += 1
        if self._listens:
            self._counts.values[self._number - 1] = self._open

    def closed(self) -> None:
        """Count a connection that was opened as closed."""
        self._open -= 1
        if self._listens:
            self._counts.values[self._number - 1] = self._open

    def lead(self) -> int:
        """The connections that this worker has beyond the one of the others that has the fewest. Below 0: it has fewer."""
        own = self._number - 1
        others = [count for at, count in enumerate(self._counts.values) if at != own and count != _ABSENT]
        return self._open - min(others) if others else -ALONE

    def room(self) -> int:
        """The connections that this worker may accept before it is far ahead of another. Below 0: it is."""
        return max(FREE, self._open >> 4) - self.lead()
