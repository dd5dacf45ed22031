"""The reactor as this package uses it, for the type checker.

Twisted splits a reactor over a dozen zope interfaces, and no type names several of them at once. These protocols name
the methods that are called here. Twisted's reactors and its `MemoryReactorClock` have them all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IProcessProtocol, IReadDescriptor


class CallLater(Protocol):
    """The type of a reactor's `callLater`."""

    def __call__(self, delay: float, callable: Callable[..., object], /, *args: object) -> IDelayedCall:  # noqa: A002 - Twisted's name
        """Call `callable(*args)` in `delay` seconds. Raises nothing; the call can be cancelled."""


class Clock(Protocol):
    """The part of a reactor that tells the time."""

    def seconds(self) -> float:
        """Seconds of a clock that never goes back."""

    @property
    def callLater(self) -> CallLater:
        """See `CallLater`."""


class Reactor(Clock, Protocol):
    """A whole reactor."""

    def callWhenRunning(self, callable: Callable[..., object], /, *args: object) -> object:  # noqa: A002 - Twisted's name
        """See IReactorCore."""

    def callFromThread(self, callable: Callable[..., object], /, *args: object) -> None:  # noqa: A002 - Twisted's name
        """See IReactorFromThreads."""

    def addSystemEventTrigger(self, phase: str, eventType: str, callable: Callable[..., object], /) -> object:  # noqa: A002 - Twisted's name
        """See IReactorCore."""

    def addReader(self, reader: IReadDescriptor, /) -> None:
        """See IReactorFDSet."""

    def removeReader(self, reader: IReadDescriptor, /) -> None:
        """See IReactorFDSet."""

    def spawnProcess(
        self,
        processProtocol: IProcessProtocol,
        executable: str,
        args: Sequence[str],
        /,
        *,
        env: Mapping[bytes, bytes] | None,
        childFDs: dict[int, int | str],
    ) -> object:
        """See IReactorProcess."""

    def run(self) -> None:
        """See IReactorCore."""

    def stop(self) -> None:
        """See IReactorCore."""
