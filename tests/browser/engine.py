"""A browser as a test uses it: the same few methods for Chromium, Firefox and WebKitGTK, so that one test runs in all."""

import shutil
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from subprocess import Popen, TimeoutExpired
from typing import Any

import pytest

ENGINES = ("chromium", "firefox", "webkit")

HEARTBEAT = 2
"""Seconds, of servers that pages in all engines listen to. WebKitGTK 2.54 holds back what came close behind another piece
of a stream until more comes (WebKit's bug 322545, mended in newer ones). A heartbeat is more: that bounds it.
"""


class Tab(ABC):
    """A page in a window of its own: never in the background, where browsers slow timers down."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Go there, and wait until the page is loaded."""

    @abstractmethod
    def evaluate(self, expression: str) -> Any:
        """Evaluate an expression in the page. Returns the value as JSON carries it. A promise is awaited."""

    @abstractmethod
    def back(self) -> None:
        """Go back in the history, as the button does."""

    @abstractmethod
    def close(self) -> None:
        """Close the window."""

    def until(self, expression: str, seconds: float = 15, show: str = "null") -> Any:
        """Wait until the expression is true, and return its value. `show`: an expression whose value a failure reports."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > until:
                shown = str(self.evaluate(f"JSON.stringify({show})"))[-3000:]
                raise AssertionError(f"within {seconds:.1f} s never: {expression}; {show} is {shown}")
            time.sleep(0.03)
        return value


class Engine(ABC):
    """A running browser."""

    name: str

    def start(self) -> None:  # noqa: B027 - not every engine must be waited for
        """Wait until it can be driven. Its process is there before, and `close` ends it in any case."""

    @abstractmethod
    def open(self, url: str) -> Tab:
        """A new tab, which has loaded the page."""

    @abstractmethod
    def close(self) -> None:
        """End the browser and the processes that it started."""


def find(package: str, *commands: str) -> str:
    """Return the path of the first of these commands that exists. Fails with the name of the package to install."""
    for command in commands:
        if path := shutil.which(command, path=None) or shutil.which(command, path="/usr/sbin:/sbin"):
            return path
    pytest.fail(f"The browser tests need {commands[0]} (on Debian: apt-get install {package})", pytrace=False)


def end(process: Popen[bytes], seconds: float = 5) -> None:
    """End a process that a test started."""
    process.terminate()
    with suppress(TimeoutExpired):
        process.wait(seconds)
        return
    process.kill()
    process.wait(seconds)
