"""What every transport of a node shares."""

from collections.abc import Callable
from typing import Any

import attrs

from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.http.client_address import Networks
from cometify.interfaces import IAccounts
from cometify.membership.membership import Membership


@attrs.frozen(eq=False)
class Context:
    """`later` is the reactor's callLater, `seconds` its clock. `closing`: connections that were told to end and are
    still there.
    """

    accounts: IAccounts
    membership: Membership
    fan_out: FanOut
    heartbeats: HeartbeatWheel
    trusted: Networks
    later: Callable[..., Any]
    seconds: Callable[[], float]
    closing: set[Any] = attrs.field(factory=set)
    silent: set[Any] = attrs.field(factory=set)
