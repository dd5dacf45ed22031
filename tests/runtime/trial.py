"""Tests of Twisted's own: python -m tests.runtime.trial eager|stock NAME...

They run over our ports and in our turns of the reactor, or over and in Twisted's. A NAME is a module's or a single
test's. Prints as JSON what became of each test that did not simply pass, and what went through the eager transport.
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
    """An eager transport of which it can be proved that it was used."""

    connections = 0
    at_once = 0
    """Writes of which nothing was left for the reactor to send."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        Counted.connections += 1

    def write(self, data):
        super().write(data)
        Counted.at_once += not self.TLS and not self.unsent


def listen_eagerly():
    """Whatever listens on TCP in this process has our port: by listenTCP, listenSSL, adoptStreamPort or by hand."""
    EagerPort.transport = Counted
    tcp.Port = EagerPort


def turn_shortly():
    """Every epoll reactor in this process has our turn."""
    make = EPollReactor.__init__

    def made(self):
        make(self)
        install_direct_poll(self)

    EPollReactor.__init__ = made


def run(names):
    from twisted.internet.test.reactormixins import ReactorBuilder  # not before the port is in its place

    # Of the tests that are there for each kind of reactor those for the one that serves on Linux.
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
