"""Cometify for the attacks, run by twistd: the CPU time of its longest turn is written to a file that others can read.

The world is changed and not the server: a task beside it looks at the CPU time of the event loop's thread every five
milliseconds. CPU time is measured and not wall time, because other processes of the measurement share the processors. So
a turn is told at most five milliseconds too long. Environment: ATTACKED_CONFIG is the configuration, and ATTACKED_TURN is
the file. It holds one little-endian double, in seconds, and whoever reads it may set it back to zero.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import cast

from twisted.application.service import Application, MultiService
from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from cometify.app.service import build
from cometify.config.settings_file import load
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.reactor import Reactor

EVERY = 0.005
"""Seconds between two looks at the clock."""


class TurnClock:
    """Keeps the longest CPU time between two looks."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 8)
        self._last = time.thread_time()

    def look(self) -> None:
        now = time.thread_time()
        if now - self._last > struct.unpack("<d", self._memory[:])[0]:
            self._memory[:] = struct.pack("<d", now - self._last)
        self._last = now


def _server() -> MultiService:
    settings = load(os.environ["ATTACKED_CONFIG"], {})
    return build(settings, cast("Reactor", reactor), loop_hooks=install_direct_poll(cast("Reactor", reactor)))


def _start_clock() -> None:
    LoopingCall(TurnClock(Path(os.environ["ATTACKED_TURN"])).look).start(EVERY)


reactor.callWhenRunning(keep_pauses_short, reactor)
reactor.callWhenRunning(_start_clock)
application = Application("cometify")
_server().setServiceParent(application)
