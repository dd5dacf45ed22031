"""Processes that one process forks, and that an ancestor of it collects.

A process between forks the new one and ends at once. So the new one is an orphan. The kernel gives an orphan to the nearest
ancestor that has asked for orphans (prctl(2), PR_SET_CHILD_SUBREAPER). It stays the parent if the process that forked ends.
"""

import ctypes
import errno
import os

_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER."""


def adopt_orphans() -> None:
    """Have orphans among the descendants of this process become its children. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(_SUBREAPER, ctypes.c_ulong(1), zero, zero, zero):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fork_orphan() -> int:
    """Fork a process that becomes a child of the one that adopts. Returns its number, and 0 in that process. Raises OSError."""
    reads, writes = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(reads)
        os.close(writes)
        raise
    if not between:
        os.close(reads)
        try:
            pid = os.fork()
        except OSError as error:
            pid = -(error.errno or errno.EAGAIN)
        if pid:
            os.write(writes, b"%d" % pid)
            os._exit(0)
        os.close(writes)
        return 0
    os.close(writes)
    told = os.read(reads, 32)
    os.close(reads)
    os.waitpid(between, 0)  # whoever adopts must not look for a new child before it is one
    pid = int(told or -errno.ECHILD)  # nothing: somebody has killed the process between
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return pid
