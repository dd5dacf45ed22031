"""The supervisor's way to new processes: it asks another process to fork them (`cometify.app.launcher`).

That process has loaded a worker's modules once. So a worker is there at once, and shares their memory with the others. It is
started with the first worker, and again whenever it is needed and not there. One request at a time goes to it over a socket: a
message with the arguments as JSON and with descriptors, and an answer with the number of the process.
"""

import json
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import cast

from attrs import frozen
from twisted.internet import error
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorFDSet
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.runtime.child_process import ChildProcess, Pipes, ProcessOwner, close_all, describe_end
from cometify.runtime.orphans import adopt_orphans
from cometify.runtime.reactor import Reactor

log = Logger()

COMMAND = (sys.executable, "-m", "cometify.app.launcher")
CONTROL = 3
"""The descriptor of the socket in the process that forks."""
STREAMS = 3
"""The first descriptors of a request: the standard input, output and error of the process."""
LONGEST = 1 << 16
"""Most bytes of a message."""
MOST_DESCRIPTORS = 253
"""Most descriptors of a message (unix(7), SCM_RIGHTS)."""
ANSWERS_WITHIN = 60
"""Seconds after which a process that does not answer is killed. Python must first load the program."""


@frozen
class _Request:
    owner: ProcessOwner
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...]


class Launcher:
    """Starts processes one after the other. `command`: that of the process that forks them."""

    def __init__(self, reactor: Reactor, command: Iterable[str] = COMMAND) -> None:
        self._reactor = reactor
        self._command = tuple(command)
        self._waiting: deque[_Request] = deque()
        self._process: _ForkingProcess | None = None
        self._is_closed = False

    def start(self, owner: ProcessOwner, arguments: Iterable[str], descriptors: Iterable[int]) -> None:
        """Start a process. `descriptors`: it gets copies of them, whose numbers it is told with the arguments.

        The owner hears of the process, or why there is none. The descriptors must stay open until then.
        """
        self._waiting.append(_Request(owner, tuple(arguments), tuple(descriptors)))
        self.go_on()

    def close(self) -> None:
        """Start none of the processes that wait. The one that is being started is still told to its owner."""
        self._is_closed = True
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            request.owner.not_started("the server ends")
        self.go_on()

    def kill(self) -> None:
        """Kill the process that forks."""
        if self._process is not None:
            self._process.kill()

    def go_on(self) -> None:
        """Send the next request, unless an answer is awaited."""
        while self._waiting and (self._process is None or not self._process.is_busy):
            request = self._waiting.popleft()
            try:
                self._process = self._process or self._run()
                self._process.ask(request)
            except BrokenPipeError:  # it has just ended, and `ended` follows
                self._waiting.appendleft(request)
                return
            except OSError as reason:
                request.owner.not_started(str(reason.strerror))
        if self._is_closed and self._process is not None and not self._process.is_busy:
            self._process.close()

    def ended(self, process: "_ForkingProcess", how: str) -> None:
        """Note that the process that forks has ended. `how`: in the log's words."""
        self._process = None
        if not self._is_closed:
            text = "The process that starts workers (pid {pid}) {how}. Another one is started when it is needed."
            log.error(text, pid=process.pid, how=how)
        process.fail(f"the process that starts workers {how}")
        self.go_on()

    def _run(self) -> "_ForkingProcess":
        adopt_orphans()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = _ForkingProcess(self, self._reactor, ours)
            files: dict[int, int | str] = {0: "w", 1: "r", 2: "r", CONTROL: theirs.fileno()}
            try:
                self._reactor.spawnProcess(process, self._command[0], self._command, env=None, childFDs=files)
            except OSError:
                process.close()
                raise
        return process


class _ForkingProcess(ProcessProtocol):
    """The process that forks, and the request whose answer is awaited."""

    transport: IProcessTransport

    def __init__(self, launcher: Launcher, reactor: Reactor, control: socket.socket) -> None:
        self.pid: int | None = None
        self._launcher = launcher
        self._reactor = reactor
        self._control = _Control(reactor, control, self._answered)
        self._asked: tuple[_Request, Pipes] | None = None
        self._patience: IDelayedCall | None = None

    @property
    def is_busy(self) -> bool:
        """True while an answer is awaited."""
        return self._asked is not None

    def connectionMade(self) -> None:
        self.pid = cast("int", self.transport.pid)

    def ask(self, request: _Request) -> None:
        """Send a request. Raises OSError."""
        pipes, theirs = Pipes.opened()
        try:
            self._control.send(json.dumps(request.arguments).encode(), [*theirs, *request.descriptors])
        except OSError:
            pipes.close()
            raise
        finally:
            close_all(theirs)
        self._asked = request, pipes
        self._patience = self._reactor.callLater(ANSWERS_WITHIN, self.kill)

    def fail(self, why: str) -> None:
        """Tell the owner of the process that was asked for that there will be none."""
        asked = self._take_asked()
        if asked is not None:
            request, pipes = asked
            pipes.close()
            request.owner.not_started(why)

    def close(self) -> None:
        """Tell the process to end."""
        self._control.loseConnection()

    def kill(self) -> None:
        """Kill the process. It may be stopped, or wait for a disk."""
        with suppress(error.ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:
        self.errReceived(data)

    def errReceived(self, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            log.error("Starting workers: {line}", line=line)

    def processEnded(self, reason: Failure) -> None:
        assert isinstance(reason.value, error.ProcessDone | error.ProcessTerminated)
        self._control.loseConnection()
        self._launcher.ended(self, describe_end(os.waitstatus_to_exitcode(reason.value.status)))

    def _take_asked(self) -> tuple[_Request, Pipes] | None:
        asked, self._asked = self._asked, None
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        return asked

    def _answered(self, message: bytes) -> None:
        answer = json.loads(message)
        if "error" in answer:
            self.fail(answer["error"])
        elif (asked := self._take_asked()) is not None:
            request, pipes = asked
            request.owner.started(ChildProcess(self._reactor, answer["pid"], pipes, request.owner))
        self._launcher.go_on()


class _Control(FileDescriptor):
    """The supervisor's end of the socket."""

    connected = True

    def __init__(self, reactor: Reactor, control: socket.socket, answered: Callable[[bytes], None]) -> None:
        super().__init__(cast("IReactorFDSet", reactor))
        control.setblocking(False)
        self._socket = control
        self._answered = answered
        self.startReading()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: bytes, descriptors: list[int]) -> None:
        """Send a message with descriptors at once. Raises OSError."""
        if not self.connected:
            raise BrokenPipeError
        socket.send_fds(self._socket, [message], descriptors)

    def doRead(self) -> Exception | None:
        try:
            message = self._socket.recv(LONGEST)
        except ConnectionResetError:  # the process has ended before it read a request
            return CONNECTION_LOST
        if not message:
            return CONNECTION_DONE
        self._answered(message)
        return None

    def writeSomeData(self, _data: bytes) -> Exception:
        return CONNECTION_DONE  # nothing is ever written but by `send`: this is the end that loseConnection brings

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self._socket.close()
