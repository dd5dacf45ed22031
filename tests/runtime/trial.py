"""Tests of Twisted's own: python -m tests.runtime.trial eager|stock NAME...

"eager" runs them over our ports and in our turns of the reactor, "stock" over and in Twisted's. NAME is the name of a
module or of a test. Prints as JSON the outcome of each test that did not simply pass, and counts of the eager transport.
"""

import io
import json
import sys

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.trial.reporter import Reporter
from twisted.trial.runner import TestLoader, TrialRunner

from cometify.runtime.epoll_loop import install_direct_poll
from cometify.runtime.tcp import EagerPort, EagerServer


class Counted(EagerServer):
    """An eager transport that counts its uses."""

    connections = 0
    at_once = 0
    """Writes that left nothing for the reactor to send."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        Counted.connections += 1

    def write(self, data):
        super().write(data)
        Counted.at_once += not self.TLS and not self.unsent


def listen_eagerly():
    """Make every TCP port of this process ours: by listenTCP, listenSSL, adoptStreamPort or by hand."""
    EagerPort.transport = Counted
    tcp.Port = EagerPort


def turn_shortly():
    """Give every epoll reactor of this process our turn."""
    make = EPollReactor.__init__

    def made(self):
        make(self)
        install_direct_poll(self)

    EPollReactor.__init__ = made


def run(names):
    from twisted.internet.test.reactormixins import ReactorBuilder  # after the port was replaced

    # Tests that exist for each kind of reactor are run for the one that serves on Linux.
    ReactorBuilder._reactors = ["twisted.internet.epollreactor.EPollReactor"]
    suite = TestLoader().loadByNames(names)
    result = TrialRunner(Reporter, stream=io.StringIO(), workingDirectory="trial").run(suite)
    outcomes = {
        test.id(): [kind, str(why)]
        for kind in ("errors", "failures", "skips", "expectedFailures", "unexpectedSuccesses")
        for test, why in getattr(result, kind)
    }
    return {"passed": result.successes, "others": outcomes}


if __name__ == "__main__":
    transport, *names = sys.argv[1:]
    if transport == "eager":
        listen_eagerly()
        turn_shortly()
    print(json.dumps({**run(names), "connections": Counted.connections, "at_once": Counted.at_once}))
