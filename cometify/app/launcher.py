"""The process that workers are forked from: `python -m cometify.app.launcher`.

`cometify.runtime.launcher` starts it for the supervisor. It loads the modules of a worker and the files that a worker serves.
Then it does nothing but fork. Each worker shares the memory of what was loaded, as long as nobody writes to it. This process
never has a reactor or a second thread, because neither survives a fork.
"""

import gc
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType

from cometify.app import worker
from cometify.http.docs_site import docs_endpoints
from cometify.http.static_files import page_endpoints, static_endpoints
from cometify.runtime.launcher import CONTROL, LONGEST, MOST_DESCRIPTORS, STREAMS
from cometify.runtime.orphans import fork_orphan


def main() -> int:
    """Fork workers until the supervisor closes the socket. Returns the exit code, in each worker that of the worker."""
    # A terminal sends the first two to all of its processes, and systemd may send the third to all. The supervisor acts on
    # them, and closes the socket. A worker acts on a SIGTERM too.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    load()
    gc.collect()
    gc.freeze()  # a collection writes to each object that it looks at, and a worker would get a copy of nearly all of them
    asked = serve(socket.socket(fileno=CONTROL))
    return 0 if asked is None else worker.main(*asked)


def load() -> None:
    """Load what workers load later than their modules: files that are kept once for a process, and what needs Redis.

    txredisapi imports the reactor, and that makes one. We use only the types of its errors (decision 11), so that it gets a
    stand-in.
    """
    static_endpoints()
    page_endpoints()
    docs_endpoints()
    stand_in = ModuleType("twisted.internet.reactor")
    vars(stand_in)["callLater"] = None
    sys.modules[stand_in.__name__] = stand_in
    try:
        for module in (
            "engine.redis.cluster.engine",
            "engine.redis.engine",
            "engine.redis.spread_engine",
            "accounts.redis_store",
        ):
            import_module(f"cometify.{module}")
    finally:
        del sys.modules[stand_in.__name__]


def serve(control: socket.socket) -> tuple[list[str], list[int]] | None:
    """Fork when the supervisor asks for it. Returns None at the end.

    In a new process it returns the arguments and the descriptors of a worker.
    """
    while True:
        asked, descriptors, _flags, _address = socket.recv_fds(control, LONGEST, MOST_DESCRIPTORS)
        if not asked:
            return None
        try:
            pid = fork_orphan()
        except OSError as error:
            answer: dict[str, object] = {"error": error.strerror}
        else:
            if not pid:
                control.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for number, descriptor in enumerate(descriptors[:STREAMS]):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                # The others keep their numbers, because what was imported has descriptors of its own.
                return json.loads(asked), descriptors[STREAMS:]
            answer = {"pid": pid}
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(BrokenPipeError):  # the supervisor has gone, and the next message is the end
            control.send(json.dumps(answer).encode())


if __name__ == "__main__":
    raise SystemExit(main())
