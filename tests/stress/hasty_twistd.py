"""twistd with a fan-out that is interrupted all the time, and with tiny send buffers.

Its slices take 0.02 ms, and it looks at the clock after every four listeners. Prints at the end how many writes were short.
"""

import socket

SHORT = "short writes: "


def run():
    from twisted.internet import reactor

    from cometify.delivery import fanout
    from cometify.runtime import tcp
    from cometify.transports.connection import Connection

    fanout.SLICE = 0.000_02
    fanout.CHUNK = 4
    tcp.LISTENER_OPTIONS = tuple(
        (level, option, 1 if option == socket.SO_SNDBUF else value) for level, option, value in tcp.LISTENER_OPTIONS
    )
    hold = Connection.hold
    short = []

    def count(listener, rest):
        short.append(len(rest))
        hold(listener, rest)

    Connection.hold = count
    reactor.addSystemEventTrigger("after", "shutdown", lambda: print(SHORT + str(len(short))))
    from tests import covered_twistd  # noqa: F401 - the import runs it


if __name__ == "__main__":
    run()
