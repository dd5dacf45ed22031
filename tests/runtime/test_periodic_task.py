"""A periodic task goes on after a failure, which is logged with the task's name."""

from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher, formatEvent

from cometify.runtime import periodic_task
from cometify.runtime.periodic_task import PeriodicTask


def test_periodic_task_goes_on_after_a_failure(monkeypatch):
    events = []
    monkeypatch.setattr(periodic_task, "log", Logger(observer=LogPublisher(events.append)))
    clock = Clock()
    calls = []

    def work():
        calls.append(clock.seconds())
        if len(calls) == 2:
            raise ValueError

    periodic = PeriodicTask("counting sheep", 5, work, clock)
    periodic.start()
    clock.pump([1] * 21)
    assert calls == [5, 10, 15, 20]
    assert [formatEvent(event) for event in events] == ["Periodic task counting sheep failed"]
    periodic.stop()
    clock.pump([1] * 20)
    assert len(calls) == 4
