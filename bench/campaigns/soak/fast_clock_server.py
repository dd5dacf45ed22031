"""Cometify for the soak, run by twistd: its engine's clock is hurried, and it counts its objects when it is asked to.

The world is changed, not the server: the engine is given a clock, as always, by which ten minutes and a day pass sooner.
Environment: SOAK_CONFIG, SOAK_HURRY (engine's seconds in one), SOAK_SAMPLES (the file that a line is added to at SIGUSR1).
"""

import gc
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Application, MultiService
from twisted.internet import reactor

from cometify.app.service import build
from cometify.config.settings import load
from cometify.engine.clock import engine_clock
from cometify.runtime.gc_pauses import keep_pauses_short

SHOWN = 30
"""The most numerous types, of which the numbers are written down."""


def hurried(times: int) -> Callable[[], int]:
    """The engine clock from now on, so many times faster. Microseconds."""
    clock = engine_clock()
    began = clock()
    return lambda: began + (clock() - began) * times


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sample(file: Path) -> None:
    """Count, and add a line."""
    gc.collect()
    gc.unfreeze()  # what was put aside is counted, and what has died there too
    objects = gc.get_objects()
    types = Counter(type(one).__qualname__ for one in objects)
    counted = {"objects": len(objects), "rss": resident(), "types": dict(types.most_common(SHOWN))}
    with file.open("a") as samples:
        samples.write(json.dumps(counted) + "\n")


def _sample_when_asked(loop: Any, file: Path) -> None:
    def install() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: loop.callFromThread(sample, file))

    loop.callWhenRunning(install)


def _server() -> MultiService:
    settings = load(os.environ["SOAK_CONFIG"], {})
    return build(settings, reactor, hurried(int(os.environ["SOAK_HURRY"])))


reactor.callWhenRunning(keep_pauses_short, reactor)
application = Application("cometify")
_server().setServiceParent(application)
_sample_when_asked(reactor, Path(os.environ["SOAK_SAMPLES"]))
