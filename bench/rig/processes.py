"""Processes of a world: started in folders of their own, waited for without holding anybody up, ended by their ids."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

STARTS_WITHIN = 30.0
ENDS_WITHIN = 20.0


class NotReady(Exception):
    """Something did not happen in its time; says what."""


async def until(condition: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """Look again and again until something is so. Raises NotReady."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - another process has no event
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise NotReady(f"not within {seconds:.0f} s: {what}") from None


class Process:
    """A command that can be started, ended and started again. What it says is in `log`."""

    def __init__(self, name: str, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.command = command
        self.environment = environment
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Raises AssertionError where it does not run."""
        assert self._process is not None
        return self._process.pid

    async def launch(self) -> None:
        """Start it. It is not ready yet."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def launched(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Start it, and wait until this is so. Raises NotReady with what it wrote."""
        await self.launch()
        try:
            await until(condition, STARTS_WITHIN, f"{self.name} is ready")
        except NotReady as reason:
            raise NotReady(f"{reason}; it wrote: {self.told()}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force where it does not go by itself. Raises NotReady then."""
        if not self.runs:
            return
        assert self._process is not None
        self.send(number)
        try:
            async with asyncio.timeout(ENDS_WITHIN):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise NotReady(f"{self.name} did not end: {self.told()}") from None

    def told(self) -> str:
        """The last lines that it wrote."""
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-5:])
