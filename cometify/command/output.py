"""Standard output, one line at a time, that a signal can interrupt and a closed pipe can end."""

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

_NEVER_BLOCKS = select.PIPE_BUF
"""Bytes that a pipe or a terminal takes at once when it says that it is writable."""
_LOOK_FOR_SIGNALS = 200
"""Milliseconds."""


class LineOutput:
    """`interrupt` is called for SIGINT and SIGTERM, once `catch_signals` was called.

    Writing waits for a reader that is slow. The reactor waits too, so the server sees a slow listener, and keeps its
    pushes. A signal ends the wait.
    """

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self.is_terminal = sys.stdout.isatty()
        self._interrupt = interrupt
        self._is_interrupted = False
        self._console = Console(soft_wrap=True, highlight=False)
        self._poll = select.poll()
        self._poll.register(sys.stdout.fileno(), select.POLLOUT)

    def catch_signals(self) -> None:
        """Have SIGINT and SIGTERM interrupt."""
        for which in (signal.SIGINT, signal.SIGTERM):
            signal.signal(which, self._signalled)

    def write(self, line: str | Text) -> bool:
        """Write a line. Returns False if nobody reads any longer, or if a signal came before the whole line was written."""
        if isinstance(line, Text) and self.is_terminal:
            with self._console.capture() as captured:
                self._console.print(line)
            text = captured.get()
        else:
            text = f"{line}\n"
        rest = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        try:
            while rest:
                if self._poll.poll(_LOOK_FOR_SIGNALS):
                    rest = rest[os.write(sys.stdout.fileno(), rest[:_NEVER_BLOCKS]) :]
                elif self._is_interrupted:
                    return False
        except BrokenPipeError:
            return False
        return True

    def _signalled(self, _number: int, _where: Any) -> None:
        self._is_interrupted = True
        self._interrupt()
