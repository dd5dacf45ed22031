"""What happens because time passes goes on, whatever goes wrong for one."""

import pytest
from twisted.logger import globalLogPublisher

from cometify.core.encodings import STREAM
from cometify.core.listener import Listener
from cometify.core.view import View
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.http.idle_timeout import IdleTimeout
from tests.memory import World


@pytest.fixture
def told():
    told = []

    def observe(event):
        if "log_failure" in event:
            told.append(event["log_failure"].getErrorMessage())

    globalLogPublisher.addObserver(observe)
    yield told
    globalLogPublisher.removeObserver(observe)


class Heart(Listener):
    """Counts its heartbeats, or breaks at the first."""

    encoding = STREAM

    def __init__(self, view, broken=False):
        super().__init__()
        self.view, self.broken, self.sent_count = view, broken, 0
        self.go_live()

    def wake(self):
        self.send = len

    def beat(self, heartbeat):
        if self.broken:
            raise RuntimeError("broken")
        self.sent_count += 1


def test_who_cannot_be_given_a_heartbeat_keeps_no_other_from_having_its_own(told):
    heartbeats, view = HeartbeatWheel(2), View((STREAM, ()), (), 0, lambda: 5)
    hearts = [Heart(view), Heart(view, broken=True), Heart(view)]
    for heart in hearts:
        heartbeats.add(heart)
    for _ in range(4):
        heartbeats.tick()
    assert [heart.sent_count for heart in hearts] == [2, 0, 2]
    assert told == ["broken"]


class Stopped(World):
    """Its engine's clock can be told to fail."""

    fails = False

    def clock(self):
        if self.fails:
            raise OSError("no clock")
        return super().clock()


def test_a_clock_that_has_failed_once_goes_on(told):
    world = Stopped()
    listener = world.stream("identifiers=chat")
    listener.lose()
    assert world.server.engine.stats().followed == 1
    world.fails = True
    world.advance(6)
    world.fails = False
    world.advance(70)
    assert world.server.engine.stats().followed == 0
    assert told == ["no clock"]


class Quiet:
    """A connection that takes others with it when it is ended."""

    seen, due = 0.0, 0

    def __init__(self, idle):
        self.idle, self.others, self.ended = idle, [], False

    def timeoutConnection(self):
        self.ended = True
        for other in self.others:
            self.idle.forget(other)


def test_a_connection_that_goes_with_another_is_not_ended_by_itself():
    time = [0.0]
    idle = IdleTimeout(lambda: time[0], 5)
    one, other = Quiet(idle), Quiet(idle)
    for quiet, its in ((one, other), (other, one)):
        quiet.others.append(its)
        idle.watch(quiet)
    time[0] = 7.0
    idle.tick()
    assert one.ended != other.ended
