"""The end of idle connections."""

from cometify.http.idle_timeout import IdleTimeout


class Quiet:
    """A connection whose end is the end of others too."""

    seen, due = 0.0, 0

    def __init__(self, idle):
        self.idle, self.others, self.ended = idle, [], False

    def timeoutConnection(self):
        self.ended = True
        for other in self.others:
            self.idle.forget(other)


def test_connection_that_ends_with_another_is_not_ended_twice():
    time = [0.0]
    idle = IdleTimeout(lambda: time[0], 5)
    one, other = Quiet(idle), Quiet(idle)
    for quiet, its in ((one, other), (other, one)):
        quiet.others.append(its)
        idle.watch(quiet)
    time[0] = 7.0
    idle.tick()
    assert one.ended != other.ended
