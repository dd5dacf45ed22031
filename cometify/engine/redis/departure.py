"""A node that is about to end asks whether other nodes stay.

Each node is subscribed to a channel of the nodes that stay. One that is about to end leaves that channel, waits a moment,
and publishes a message there: Redis answers with the number of those that have heard it. Nobody does anything with it. The
workers of one machine are told to end together. Each has left the channel before another one asks.
"""

from typing import cast

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from cometify.engine.redis.channels import Channels
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater

TOGETHER = 0.3
"""Seconds within which the workers of a machine begin to end."""


class Departure:
    """Leaves the channel of the nodes that stay."""

    def __init__(self, session: RedisSession, channels: Channels, call_later: CallLater) -> None:
        self._session = session
        self._channels = channels
        self._call_later = call_later

    def leave(self) -> Deferred[bool]:
        """See `IEngine.leave`."""
        self._channels.is_staying = False
        if self._session.subscription is None or not self._session.is_ready:
            return succeed(True)
        self._session.subscription.unsubscribe([self._channels.staying])
        waited: Deferred[None] = Deferred()
        self._call_later(TOGETHER, waited.callback, None)
        return waited.addCallback(self._ask).addErrback(_not_answered)

    def _ask(self, _none: None) -> Deferred[bool]:
        commands = self._session.commands
        if commands is None:
            return succeed(True)
        heard = cast("Deferred[int]", commands.execute(b"PUBLISH", self._channels.staying, b"leaving"))
        return heard.addCallback(bool)


def _not_answered(_failure: Failure) -> bool:
    return True
