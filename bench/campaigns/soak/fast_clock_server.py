"""Cometify for the soak, run by twistd: the engine's clock is sped up, and SIGUSR1 takes a sample.

The world is changed and not the server. The engine is given a clock, as always, and this one makes ten minutes and a day
pass sooner. Environment: SOAK_CONFIG is the configuration, SOAK_SPEEDUP the engine's seconds in one second, and
SOAK_SAMPLES the file that samples are appended to.
"""

import gc
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Application, MultiService
from twisted.internet import reactor

from cometify.app.service import build
from cometify.config.settings_file import load
from cometify.engine.clock import engine_clock
from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.gc_pauses import keep_pauses_short
from cometify.runtime.reactor import Reactor

SHOWN = 30
"""The number of types in a sample, the most frequent first."""


def sped_up_clock(times: int) -> Callable[[], int]:
    """Return an engine clock in microseconds that starts now and is so many times faster."""
    clock = engine_clock()
    began = clock()
    return lambda: began + (clock() - began) * times


def resident() -> int:
    """The bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def take_sample(file: Path) -> None:
    """Count all objects, and append a line to the file."""
    gc.collect()
    # Objects that were frozen must be counted as well, and those that have died since must be found.
    gc.unfreeze()
    objects = gc.get_objects()
    types = Counter(type(one).__qualname__ for one in objects)
    counted = {"objects": len(objects), "rss": resident(), "types": dict(types.most_common(SHOWN))}
    with file.open("a") as samples:
        samples.write(json.dumps(counted) + "\n")


def _take_samples_on_signal(loop: Any, file: Path) -> None:
    def install() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: loop.callFromThread(take_sample, file))

    loop.callWhenRunning(install)


def _server() -> MultiService:
    settings = load(os.environ["SOAK_CONFIG"], {})
    clock = sped_up_clock(int(os.environ["SOAK_SPEEDUP"]))
    return build(settings, cast("Reactor", reactor), clock, install_direct_poll(cast("Reactor", reactor)))


reactor.callWhenRunning(keep_pauses_short, reactor)
application = Application("cometify")
_server().setServiceParent(application)
_take_samples_on_signal(reactor, Path(os.environ["SOAK_SAMPLES"]))
