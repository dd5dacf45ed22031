"""The things that all transports of a node share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from cometify.delivery.fanout import FanOut
from cometify.delivery.heartbeats import HeartbeatWheel
from cometify.http.client_address import Networks
from cometify.http.idle_timeout import IdleTimeout
from cometify.http.untrusted_proxies import UntrustedProxies
from cometify.interfaces import IAccounts
from cometify.membership.membership import Membership
from cometify.runtime.reactor import CallLater
from cometify.runtime.slices import SlicedWork

if TYPE_CHECKING:
    from cometify.transports.connection import Connection
    from cometify.transports.listen_pace import ListenPace


@attrs.frozen(eq=False)
class Context:
    """Everything that a transport needs beside its connection.

    `trusted`: the proxies whose X-Forwarded-For is believed. `untrusted`: logs the others that send it. `later` is the
    reactor's callLater, and `seconds` its clock. `begun`: watches over the WebSocket messages that have begun.
    `turns`: takes the turns of `listen` frames that waited, one at a time.
    `closing`: connections that were told to end and are still open. `silent`: WebSockets that have not asked for anything
    yet.
    """

    accounts: IAccounts
    membership: Membership
    fan_out: FanOut
    heartbeats: HeartbeatWheel
    trusted: Networks
    untrusted: UntrustedProxies
    later: CallLater
    seconds: Callable[[], float]
    begun: IdleTimeout
    turns: SlicedWork[ListenPace]
    closing: set[Connection] = attrs.field(factory=set)
    silent: set[Connection] = attrs.field(factory=set)
