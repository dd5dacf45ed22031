"""twistd that says what its connections leave behind: at SIGUSR1 it puts aside what is alive, as a long collection has it,
and at SIGUSR2 adds a line to the file `left`: what of it has died since and can only be freed by looking at all again.
"""

import gc
import json
import signal
from collections import Counter


def put_aside(*_signal):
    gc.collect()
    gc.freeze()
    tell("put aside")


def look(*_signal):
    gc.collect()  # not at frozen objects
    gc.disable()
    gc.unfreeze()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    tell(Counter(type(one).__qualname__ for one in gc.garbage))
    gc.garbage.clear()
    gc.set_debug(0)
    gc.unfreeze()  # it was put aside once more, where the look took long
    gc.collect()
    gc.enable()


def tell(what):
    with open("left", "a") as file:  # noqa: PTH123
        file.write(json.dumps(what) + "\n")


def run():
    from twisted.internet import reactor

    def install():
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(put_aside))
        signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(look))

    reactor.callWhenRunning(install)
    from tests import covered_twistd  # noqa: F401 - which runs


if __name__ == "__main__":
    run()
