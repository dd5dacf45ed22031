"""The periodic tasks of a server."""

from twisted.logger import globalLogPublisher

from tests.memory import World


class Stopped(World):
    """Its engine's clock can be told to fail."""

    fails = False

    def clock(self):
        if self.fails:
            raise OSError("no clock")
        return super().clock()


def test_periodic_task_goes_on_after_it_failed_once():
    told = []
    world = Stopped()
    listener = world.stream("identifiers=chat")
    listener.lose()
    assert world.server.engine.stats().followed == 1
    globalLogPublisher.addObserver(told.append)
    try:
        world.fails = True
        world.advance(6)
        world.fails = False
        world.advance(70)
    finally:
        globalLogPublisher.removeObserver(told.append)
    assert world.server.engine.stats().followed == 0
    failed = [event for event in told if "log_failure" in event]
    assert {event["log_failure"].getErrorMessage() for event in failed} == {"no clock"}
    assert sorted(event["name"] for event in failed) == ["expiry", "usage of accounts"]
