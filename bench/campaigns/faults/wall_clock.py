"""A wall clock of a process's own, by libfaketime. Its monotonic clock is nobody's to change."""

from pathlib import Path

from bench.rig.processes import NotReady


class Clock:
    """`offset`: seconds by which the process is ahead of the machine."""

    def __init__(self, file: Path, offset: int = 0) -> None:
        self._file = file
        self.set(offset)

    def set(self, offset: int) -> None:
        """The clock jumps."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process is started with. Raises NotReady where the library is missing."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
        if library is None:
            raise NotReady("libfaketime is missing: on Debian, apt-get install faketime")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
