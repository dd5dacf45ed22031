"""The folder of the workers' admin sockets, which no other user can read.

It is in the folder for temporary files. Programs that clean that folder up may remove it while the workers run.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from twisted.logger import Logger

log = Logger()

_OTHERS = 0o077


class SocketFolder:
    """Made when its path is first asked for, and again if it has gone."""

    def __init__(self) -> None:
        self._path: Path | None = None

    def path(self) -> Path:
        """The folder. Raises `OSError` if it cannot be made."""
        before = self._path
        if before is None or not _is_own(before):
            self._path = _made(before)
        if before is not None and self._path is not before:
            log.warn(  # noqa: G010 - Twisted's warn is not deprecated.
                "The folder of the workers' sockets, {before}, was removed. It is {folder} now, and the workers listen there "
                "again. Exclude it from the programs that clean up old files, or set TMPDIR to another folder.",
                before=str(before),
                folder=str(self._path),
            )
        assert self._path is not None
        return self._path

    def remove(self) -> None:
        """Remove the folder with all in it."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    """Return False also for a folder that another user has put there: that user would answer in place of the workers."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS


def _made(before: Path | None) -> Path:
    if before is not None:
        try:
            before.mkdir(0o700)
        except FileExistsError:
            pass  # it belongs to somebody else
        else:
            return Path(before)
    return Path(tempfile.mkdtemp(prefix="cometify-"))
