"""Processes of a cluster: started in folders of their own, awaited without blocking, and ended by their process ids."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

STARTS_WITHIN = 30.0
ENDS_WITHIN = 20.0


class NotReady(Exception):
    """Something did not happen in time. The message says what."""


async def wait_until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """Ask again and again until the condition holds. Raises NotReady with `what` after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - another process has no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotReady(f"not within {seconds:.0f} s: {what}") from None


class Process:
    """A command that can be started, ended and started again. Its output is appended to `log`."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.command = command
        self.environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises AssertionError if the command was never started."""
        assert self._process is not None
        return self._process.pid

    async def launch(self) -> None:
        """Start the process, and do not wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def launch_and_wait(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Start the process, and wait until the condition holds. Raises NotReady with its last output."""
        await self.launch()
        try:
            await wait_until(condition, STARTS_WITHIN, f"{self.name} is ready")
        except NotReady as reason:
            raise NotReady(f"{reason}; it wrote: {self.last_output()}") from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.pid, number)

    @property
    def is_running(self) -> bool:
        """True if the process was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process with a signal. If it does not end in time, kill it and raise NotReady."""
        if not self.is_running:
            return
        assert self._process is not None
        self.send_signal(number)
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise NotReady(f"{self.name} did not end: {self.last_output()}") from None

    def last_output(self) -> str:
        """The last five lines of its output."""
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])
