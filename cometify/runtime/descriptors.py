"""The limit of file descriptors of this process: each listener takes one."""

import math
import os
import resource
from pathlib import Path

from twisted.logger import Logger

log = Logger()

FEW = 4096
"""A lower limit is too low for a small server."""


def raise_limit() -> None:
    """Raise the soft limit to the hard one, which needs no right, and log it. Log a warning if it is low even so.

    Service managers and shells give a soft limit of 1024, because select() cannot use more. Cometify uses epoll.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft not in (hard, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warn("The limit of {soft} file descriptors could not be raised: {error}", soft=soft, error=str(error))  # noqa: G010 - Twisted's
            hard = soft
        else:
            log.info("The limit of file descriptors is raised from {soft} to {hard}", soft=soft, hard=_in_words(hard))
    if hard != resource.RLIM_INFINITY and hard < FEW:
        log.warn(  # noqa: G010 - this is Twisted's
            "This process may have {hard} file descriptors, and each listener takes one. Raise LimitNOFILE of the unit, or "
            "the hard limit (ulimit -Hn).",
            hard=hard,
        )


def most_descriptors() -> float:
    """The number of file descriptors that this process may have open."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def descriptors_in_use() -> int:
    """The number of file descriptors that this process has open. Costs the same for any number of them."""
    size = Path("/proc/self/fd").stat().st_size
    if size:
        return size
    # A kernel older than 6.2 does not tell. Its lowest free number is the least that are open, and exact if there is no gap.
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    return free


def _in_words(limit: int) -> str:
    return "infinity" if limit == resource.RLIM_INFINITY else str(limit)
