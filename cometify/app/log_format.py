"""The form of the log on standard output: text or JSON, with priorities for journald.

twistd logs text to standard output. It takes another observer if the application has one as a component. An application gets
it here when the service is put into it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TextIO

from twisted.application.service import IServiceCollection, MultiService
from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEvent,
    formatEventAsClassicLogText,
)

PRIORITIES = {LogLevel.debug: 7, LogLevel.info: 6, LogLevel.warn: 4, LogLevel.error: 3, LogLevel.critical: 2}
"""The priorities of syslog, which journald reads at the beginning of each line."""
_SPECIFIED = re.compile(r"\{\w+:[^}]")
"""A value with a specification in a format of Twisted's log."""
_LEGACY = frozenset({"message", "time", "system", "isError", "format", "printed", "why", "failure", "logLevel"})
"""Fields of events of Twisted's older log, which say nothing beyond the message."""


def as_json(event: LogEvent) -> str:
    """One event as one line of JSON. The values that the message names are fields of their own too."""
    level = event.get("log_level") or LogLevel.info
    when = datetime.fromtimestamp(event.get("log_time") or 0.0, UTC)
    line: dict[str, object] = {
        "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.name,
        "logger": event.get("log_namespace") or event.get("log_system") or "-",
        "message": eventAsText(event, includeTimestamp=False, includeSystem=False),
    }
    for name, value in event.items():
        if not name.startswith("log_") and name not in _LEGACY and isinstance(value, str | int | float | None):
            line.setdefault(name, value)
    return json.dumps(line, ensure_ascii=False) + "\n"


def as_text(event: LogEvent) -> str | None:
    """One event as twistd writes it."""
    return formatEventAsClassicLogText(event)


def formatted(observer: Callable[[LogEvent], None]) -> Callable[[LogEvent], None]:
    """Format each event before an observer that writes it as JSON for another process.

    Twisted writes the values beside the format, and its reader forgets the specification: `{seconds:.1f}` would be read as
    1.0374162 there. The values stay fields of the event.
    """

    def observe(event: LogEvent) -> None:
        if _SPECIFIED.search(event.get("log_format") or ""):
            event = {**event, "log_format": "{log_text}", "log_text": formatEvent(event)}
        observer(event)

    return observe


def with_priority(form: Callable[[LogEvent], str | None]) -> Callable[[LogEvent], str | None]:
    """Put the priority of the event before each of its lines."""

    def formed(event: LogEvent) -> str | None:
        text = form(event)
        if not text:
            return text
        priority = PRIORITIES.get(event.get("log_level"), 6)
        return "".join(f"<{priority}>{line}\n" for line in text.splitlines())

    return formed


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return True if journald reads this stream: systemd names its device and inode in JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Logged(MultiService):
    """Holds `service`, and gives the application that it is put into an observer of the log."""

    def __init__(self, service: MultiService, form: Callable[[LogEvent], str | None]) -> None:
        super().__init__()
        service.setServiceParent(self)
        self._observer = FileLogObserver(sys.stdout, form)

    def setServiceParent(self, parent: IServiceCollection) -> None:
        parent.setComponent(ILogObserver, self._observer)  # type: ignore[attr-defined] # an Application is Componentized
        super().setServiceParent(parent)


def with_log_format(service: MultiService, log_format: str, twistd: Mapping[str, object] | None) -> MultiService:
    """Return the service that twistd must run, so that the log on standard output has this form.

    `twistd`: the options of twistd. With --logfile, --syslog or --logger, or in the background, its own log stays.
    """
    if twistd is None or not twistd["nodaemon"] or twistd["logfile"] or twistd["syslog"] or twistd["logger"]:
        return service
    form = as_json if log_format == "json" else as_text
    if is_journal(sys.stdout, os.environ):
        return Logged(service, with_priority(form))
    return Logged(service, form) if log_format == "json" else service
