"""The reactor of a command that is a client."""

import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import click
from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

T = TypeVar("T")


def client_reactor() -> Any:
    """Return the reactor. Its timers follow a clock that never jumps. Only failures are logged, on standard error."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - the import installs it, and `serve` installs its own

    reactor = cast("Any", installed)
    reactor.seconds = time.monotonic
    failures = LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [failures])
    globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)
    return reactor


def run(reactor: Any, work: Coroutine[Deferred[Any], Any, T]) -> T:
    """Run the reactor until the work is done, and return its result. A signal ends it: raises `click.Abort`."""
    results: list[T] = []
    failures: list[BaseException] = []

    def begin() -> None:
        done = Deferred.fromCoroutine(work)
        done.addCallbacks(results.append, lambda failure: failures.append(failure.value))
        done.addBoth(lambda _none: reactor.stop())

    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, lambda *_arguments: reactor.callFromThread(reactor.stop))
    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
    if failures:
        raise failures[0]
    if not results:
        raise click.Abort
    return results[0]
