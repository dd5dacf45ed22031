"""The lag of the event loop is measured, and a long one is told in the log."""

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher

from cometify.runtime.reactor_lag import ReactorLag


def test_long_turn_is_told_once_a_minute():
    clock = Clock()
    lines = []
    observe = lambda event: lines.append(formatEvent(event))  # noqa: E731 - a name, to take it away again
    globalLogPublisher.addObserver(observe)
    lag = ReactorLag(clock)
    try:
        lag.startService()
        for seconds in (1.0, 1.9, 2.6, 3.0):
            clock.advance(seconds)
        assert [line.partition(" s,")[0] for line in lines] == ["This process was busy for 1.6"]
        clock.advance(61)
        clock.advance(1.5)
        assert len(lines) == 2
    finally:
        globalLogPublisher.removeObserver(observe)
        lag.stopService()
