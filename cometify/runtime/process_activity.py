"""The state of another process, read from Linux: a process that computes is told from one that does nothing."""

from pathlib import Path
from typing import Self

import attrs

STOPPED = "T"
"""The state after SIGSTOP. A process that a debugger holds has another one, `t`."""
ASLEEP = "S"
"""The state of a process that waits. One that waits for a disk has `D`, and one that wants a processor `R`."""


@attrs.frozen
class Activity:
    """`state`: a letter, as in ps. `processor_time`: that of all threads so far, in ticks."""

    state: str
    processor_time: int

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """Read the activity of a process. None: it has ended, or this is not Linux."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        # The second field is the name of the program in brackets, and may have blanks and brackets itself.
        fields = text.rpartition(")")[2].split()
        return cls(fields[0], int(fields[11]) + int(fields[12]))

    def idles_since(self, earlier: Self) -> bool:
        """Return True if the process waits, and has used no processor time since `earlier`."""
        return self.state == ASLEEP and self == earlier
