"""Files that the operator names. Each is read up to a bound, because a wrong name must not fill the memory.

Such a name is that of a device (/dev/zero has no end) or of a long log.
"""

import stat
from pathlib import Path

MOST_CERTIFICATES = 1 << 20
"""Most bytes of a file with certificates or a key."""
MOST_SECRETS = 8 << 10
"""Most bytes of a file with secrets."""
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFDIR: "a folder", stat.S_IFSOCK: "a socket"}


def read_regular(file: Path, most: int) -> bytes:
    """Read a regular file. Raises `OSError`, and `ValueError` for one of another kind or with more than `most` bytes.

    A server would wait until somebody writes to a pipe.
    """
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"{file}: must be a regular file, and is {_KINDS.get(stat.S_IFMT(mode), 'a device')}")
    return read_at_most(file, most)


def read_at_most(file: Path, most: int) -> bytes:
    """Read a file of any kind. Raises `OSError`, and `ValueError` for more than `most` bytes."""
    with file.open("rb") as opened:
        content = opened.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{file}: must have at most {most} bytes")
    return content
