"""A real redis-server for tests, on a Unix socket, with a clock that the test can move."""

import ctypes
import mmap
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import hiredis

from bench.rig.ports import free_ports


class RedisServer:
    """`options`: more options of redis-server. `moved`: whether the test moves its clock.

    Nothing is written to the disk unless the options say so.
    """

    def __init__(self, folder: Path, *options: str, moved: bool = False) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.path = str(folder / "redis.sock")
        self.log = folder / "redis.log"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.clock = MovedClock(folder) if moved else None
        self._connection: RedisConnection | None = None

    def start(self, password: str | None = None) -> Self:
        options = ["--port", "0", "--unixsocket", self.path, "--dir", str(self.folder), "--logfile", str(self.log)]
        # The threads of jemalloc wait by the wall clock, and would spin while it stands still.
        kept = ["--save", "", "--appendonly", "no", "--jemalloc-bg-thread", "no"]
        environment = {} if self.clock is None else self.clock.environment
        self.process = subprocess.Popen(
            ["redis-server", *options, *kept, *self.options],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait_for(password)
        return self

    def _wait_for(self, password: str | None) -> None:
        """Wait until the server answers."""
        assert self.process is not None
        until = time.monotonic() + 10
        while True:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(OSError, EOFError):
                with RedisConnection(self.path) as connection:
                    if password is not None:
                        connection.command("AUTH", password)
                    answer = connection.command("PING")
                if not isinstance(answer, hiredis.ReplyError) or not str(answer).startswith("LOADING"):
                    return
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.005)

    def command(self, *arguments: Any) -> Any:
        """Run a command over a connection that is kept, and return the answer."""
        if self._connection is None:
            self._connection = RedisConnection(self.path)
        answer = self._connection.command(*arguments)
        assert not isinstance(answer, hiredis.ReplyError), answer
        return answer

    def send_signal(self, which: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(which)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the process, frozen or not. `how`: the signal."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None


class Redis(RedisServer):
    """A redis-server on a TCP port of its own. Its data is in `folder` and survives a restart."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        super().__init__(folder, "--port", str(self.port), "--bind", "127.0.0.1", "--appendonly", "yes")
        self.url = f"redis://127.0.0.1:{self.port}/0"


class RedisConnection:
    """A blocking connection. `where`: the path of a Unix socket, or a port of 127.0.0.1."""

    def __init__(self, where: str | int, timeout: float = 10.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(where if isinstance(where, str) else ("127.0.0.1", where))
        except OSError:
            self.socket.close()
            raise
        self._reader = hiredis.Reader()

    def command(self, *arguments: Any) -> Any:
        self.socket.sendall(hiredis.pack_command(arguments))
        return self.reply()

    def reply(self) -> Any:
        answer = self._reader.gets()
        while answer is False:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._reader.feed(data)
            answer = self._reader.gets()
        return answer

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "RedisConnection":
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()


class MovedClock:
    """The wall clock of a process, which it reads from a file in memory: see clock.c."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "clock.so", folder / "clock"
        source = Path(__file__).parent / "clock.c"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._now = ctypes.c_int64.from_buffer(mmap.mmap(opened.fileno(), 8))
        self.environment = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(file)}

    def set(self, now: int) -> None:
        """Set the clock, in microseconds of Unix time."""
        # In one write. Redis reads at the same time, and a half-written number is a time at which every key has expired.
        self._now.value = now
