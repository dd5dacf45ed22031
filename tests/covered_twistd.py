"""twistd that writes its coverage data before a signal ends it."""

import coverage
from twisted.internet import reactor
from twisted.scripts.twistd import run


def save() -> None:
    running = coverage.Coverage.current()
    if running is not None:
        running.stop()
        running.save()


reactor.addSystemEventTrigger("after", "shutdown", save)
run()
