"""The position from which a page listens, so that it misses no change while it loads."""

import logging
import time

from cometify.client import Cometify, CometifyError

MARGIN = 5_000_000
"""Microseconds by which this machine's clock may differ from the clock of the push server."""
_log = logging.getLogger(__name__)


def take_position(client: Cometify) -> int:
    """Return the newest position. If the server gives none in time, return an earlier one by this machine's clock."""
    try:
        return client.position()
    except CometifyError as error:
        return position_by_clock(error)


def position_by_clock(error: CometifyError) -> int:
    """Return a position by this machine's clock, because the server gave none. `error`: the reason, for the log."""
    _log.warning("The position of the push server is unknown, so this machine's clock gives it: %s", error)
    return int(time.time() * 1_000_000) - MARGIN
