"""A slow Redis is told in the log, and a busy process does not blame Redis for its own lag."""

import pytest
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from cometify.core.histogram import Histogram
from cometify.engine.redis.slow_watch import FEW, LOG_EVERY, LOOK_EVERY, SlowWatch
from cometify.runtime.read_lag import ReadLag


class Watched:
    """Commands of a process, and the lines that it logs about them."""

    def __init__(self):
        self.clock = Clock()
        self.latency = Histogram()
        self.lag = 0.002
        self.lines = []
        self.watch = SlowWatch("redis:6379", self.latency, lambda: self.lag, self.clock.seconds)

    def look_after(self, *seconds, wait=LOOK_EVERY):
        """Take the time of each command, and look."""
        for one in seconds:
            self.latency.observe(one)
        self.clock.advance(wait)
        self.watch.look()
        return len(self.lines)


@pytest.fixture
def watched():
    watched = Watched()

    def note(event):
        if event.get("log_namespace", "").endswith("slow_watch"):
            watched.lines.append(formatEvent(event))

    globalLogPublisher.addObserver(note)
    yield watched
    globalLogPublisher.removeObserver(note)


def test_slow_redis_is_told_with_both_times(watched):
    assert watched.look_after(*[0.2] * 20, *[0.001] * 10) == 1
    assert "half of 30 commands took longer than 100 ms. This process was late by 2 ms" in watched.lines[0]


def test_quick_redis_with_a_slow_command_now_and_then_is_not_told(watched):
    assert watched.look_after(*[0.2] * 10, *[0.001] * 20) == 0


def test_busy_process_does_not_blame_redis(watched):
    watched.lag = 0.15
    assert watched.look_after(*[0.2] * 30) == 0


def test_few_commands_tell_nothing(watched):
    assert watched.look_after(*[0.2] * FEW) == 0


def test_slow_redis_is_told_again_after_a_while_only(watched):
    many = [0.2] * 30
    assert watched.look_after(*many) == 1
    assert watched.look_after(*many) == 1
    assert watched.look_after(*many, wait=1) == 1
    assert watched.look_after(*many, wait=LOG_EVERY) == 2
    assert watched.look_after(*[0.001] * 30, wait=LOG_EVERY) == 2


def test_mean_lag_has_all_reads_since_it_was_asked_for_last():
    class Late(Clock):
        """A reactor that reads descriptors when it is told to."""

        def addReader(self, reader):
            pass

        removeReader = addReader

    clock = Late()
    lag = ReadLag(clock, 0.25)
    lag.start()
    for late in (0.0, 0.02, 0.04):
        lag.measure()
        clock.advance(late)
        lag.doRead()
        clock.advance(0.25 - late)
    assert lag.take_mean() == pytest.approx(0.02)
    assert lag.take_mean() == 0
    lag.stop()
