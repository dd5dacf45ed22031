"""One worker as its supervisor sees it: a process, its pipes, its log and its signs of life."""

from pathlib import Path
from typing import Protocol

from twisted.logger import Logger, eventFromJSON, globalLogPublisher

from cometify.runtime.child_process import ChildProcess, describe_end
from cometify.runtime.process_activity import STOPPED, Activity
from cometify.runtime.signs_of_life import SignsOfLife

log = Logger()

EARLIER = "or at once if it does nothing."
UNHARMED = "It is not killed, because worker_timeout = 0."


class WorkerOwner(Protocol):
    """The part of a `Supervisor` that its workers call."""

    def seconds(self) -> float:
        """Seconds of a clock that never goes back."""

    def started(self, worker: "WorkerProcess") -> None:
        """Note that the process of a worker runs."""

    def serves(self) -> None:
        """Note that a worker is ready."""

    def ended(self, worker: "WorkerProcess", pid: int | None, how: str) -> None:
        """Note that the process of a worker has ended. `how`: in the log's words."""


class WorkerProcess:
    """One worker over all its lives: a process runs, or another will start soon. `socket`: the path of its admin endpoint."""

    def __init__(self, number: int, socket: Path, supervisor: WorkerOwner) -> None:
        self.number = number
        self.socket = socket
        self.has_listened = False
        """True if the process has said that it listens at its socket."""
        self.deaths = 0
        """Processes of this worker that have died. One that was told to end does not count."""
        self.is_starting = False
        """True while a process is asked for."""
        self.failed = 0
        """Deaths in a row, each soon after the start."""
        self.began = 0.0
        self.signs = SignsOfLife()
        self._noticed: Activity | None = None
        """The activity when the silence became known."""
        self._supervisor = supervisor
        self._process: ChildProcess | None = None
        self._out = self._err = b""

    @property
    def pid(self) -> int | None:
        """The number of the process, None if there is none."""
        return None if self._process is None else self._process.pid

    def send(self, line: bytes) -> None:
        """Write a line to the standard input of the process. Does nothing if there is none, or if it is ending."""
        if self._process is not None:
            self._process.write(line)

    def end(self) -> None:
        """Tell the process to drain and to exit."""
        if self._process is not None:
            self._process.close_input()

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()

    def started(self, process: ChildProcess) -> None:
        """Take the process that was asked for."""
        self.is_starting, self._process = False, process
        self.signs.begin(self._supervisor.seconds())
        self._out = self._err = b""
        self._supervisor.started(self)

    def not_started(self, why: str) -> None:
        """Note that the process that was asked for could not be started."""
        self.is_starting = False
        self._supervisor.ended(self, None, f"could not be started ({why})")

    def out_received(self, data: bytes) -> None:
        self.heard()
        *lines, self._out = (self._out + data).split(b"\n")
        for line in filter(None, lines):  # an empty line is a sign of life and nothing else
            self._log(line)

    def heard(self) -> None:
        """Note a sign of life."""
        silent = self.signs.heard(self._supervisor.seconds())
        if silent:
            log.info(
                "Worker {number} (pid {pid}) answers again after {silent:.0f} s",
                number=self.number,
                pid=self.pid,
                silent=silent,
            )

    def silence(self) -> float:
        """The seconds for which the process has been silent, 0.0 if it counts as alive or if there is none."""
        return 0.0 if self.pid is None else self.signs.silence(self._supervisor.seconds())

    def check(self, patience: int) -> None:
        """Log that the worker is silent, and kill it when it will not go on by itself. `patience`: `worker_timeout`."""
        silent = self.silence()
        if self.pid is None or not silent:
            return
        activity = Activity.of(self.pid)
        earlier = self._noticed
        if self.signs.is_news():
            earlier, self._noticed = None, activity
            self._tell("{fate}", silent, fate=f"It is killed after {patience} s, {EARLIER}" if patience else UNHARMED)
        why = why_hopeless(activity, earlier) or (f"worker_timeout = {patience}" if silent >= patience else "")
        if patience and why:
            self._tell("It is killed, because {why}.", silent, why=why)
            self.kill()

    def _tell(self, then: str, silent: float, **more: str) -> None:
        text = "Worker {number} (pid {pid}) has not answered for {silent:.0f} s. " + then
        log.error(text, number=self.number, pid=self.pid, silent=silent, **more)

    def err_received(self, data: bytes) -> None:
        *lines, self._err = (self._err + data).split(b"\n")
        for line in lines:
            self._log_text(line)

    def _log(self, line: bytes) -> None:
        try:
            event = eventFromJSON(line.decode())
            name = event.get("log_system") or f"{event['log_namespace']}#{event['log_level'].name}"
        except (ValueError, KeyError, AttributeError, TypeError):
            self._log_text(line)
            return
        if event.pop("serves", False):
            self.has_listened = True
            self._supervisor.serves()
        event["log_system"] = f"worker {self.number}: {name}"
        globalLogPublisher(event)

    def _log_text(self, line: bytes) -> None:
        """Log a line that is not an event: it comes from Python itself, or from a library that prints."""
        log.error("Worker {number}: {line}", number=self.number, line=line.decode(errors="replace"))

    def process_ended(self, code: int | None) -> None:
        for line in filter(None, (self._out, self._err)):
            self._log_text(line)
        pid, self._process = self.pid, None
        self._supervisor.ended(self, pid, describe_end(code))


def why_hopeless(activity: Activity | None, earlier: Activity | None) -> str:
    """Return in the log's words why a silent worker will not go on by itself. An empty text: it may.

    `earlier`: its activity when the silence was noticed.
    """
    if activity is not None and activity.state == STOPPED:
        return "a signal has stopped it"
    if activity is not None and earlier is not None and activity.idles_since(earlier):
        return "it waits for something that does not come"
    return ""
