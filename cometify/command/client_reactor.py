"""The reactor of a command that is a client."""

import sys
import time
from typing import Any, cast

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)


def client_reactor() -> Any:
    """Return the reactor. Its timers follow a clock that never jumps. Only failures are logged, on standard error."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - the import installs it, and `serve` installs its own

    reactor = cast("Any", installed)
    reactor.seconds = time.monotonic
    failures = LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [failures])
    globalLogBeginner.beginLoggingTo([observer], discardBuffer=True, redirectStandardIO=False)
    return reactor
