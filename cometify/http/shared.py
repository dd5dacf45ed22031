"""The parts that all connections of a site share."""

from collections.abc import Callable

import attrs
from twisted.web.http import HTTPChannel

from cometify.http.fast_parser import Endpoints, FastParser
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.long_bodies import LongBodies
from cometify.http.turn_share import TurnShare
from cometify.runtime.epoll_loop import WriteBatch
from cometify.runtime.reactor import CallLater


@attrs.define(eq=False)
class Shared:
    """Made by a `Site`, for its `FastChannel`s.

    `new_channel` makes a stock HTTPChannel. `write_batch`: where answers may wait for others, None if they may not. `ends`:
    each answer ends its connection, because the server drains.
    """

    tree: Endpoints
    parser: FastParser
    idle: IdleTimeout
    call_later: CallLater
    new_channel: Callable[[], HTTPChannel]
    write_batch: WriteBatch | None
    turn_share: TurnShare
    long_bodies: LongBodies
    ends: bool = False
