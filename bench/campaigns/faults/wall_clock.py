"""A wall clock of one process's own, made by libfaketime. The monotonic clock of the process is not changed."""

from pathlib import Path

from bench.rig.processes import NotReady


class WallClock:
    """The wall clock of a process that is `offset` seconds ahead of the machine."""

    def __init__(self, file: Path, offset: int = 0) -> None:
        self._file = file
        self.set(offset)

    def set(self, offset: int) -> None:
        """Let the clock jump to `offset` seconds ahead of the machine."""
        # The process reads the file at every call. A rename is atomic, so that it never reads half a line.
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that gives a process this clock. Raises NotReady if libfaketime is missing."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        if library is None:
            raise NotReady("libfaketime is missing: on Debian, apt-get install faketime")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
