"""Nodes level the numbers of their listeners when a node has come.

A WebSocket stays where it is, so a node that was restarted, or was added, would have no listeners until new ones come.

    5 s after a node has come    It asks all nodes that stay for their numbers. Each answers on its channel.
    1 s later                    It publishes the mean. A node that has a tenth more, and at least `LEAST`, sends those above
                                 the mean away. They come back at once, and the balancer finds the node with the fewest.

This happens once for each start of a process, so that nodes cannot play with listeners that a balancer sends where it likes.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from cometify.engine.redis.channels import Channels
from cometify.engine.redis.departure import Departure
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import CallLater

MARK = b"@~"
"""The first bytes of a message. They differ from those of the questions and answers of `queries`."""
AFTER = 5.0
"""Seconds after which a node asks. By then balancers know that it is there."""
ANSWERS_WITHIN = 1.0
"""Seconds in which the others answer."""
LEAST = 50
"""Listeners above the mean that are not worth the trouble."""


class Levelling:
    """`count` and `send_away`: see `IEngine.level_with`. `leave`: see `Departure`."""

    def __init__(self, session: RedisSession, channels: Channels, call_later: CallLater) -> None:
        self._session = session
        self._channels = channels
        self._call_later = call_later
        self.leave = Departure(session, channels, call_later).leave
        self._answers: list[int] = []
        self._has_come = False
        self._timer: IDelayedCall | None = None
        self._count: Callable[[], int] = int
        self._send_away: Callable[[int], object] = int

    def level_with(self, count: Callable[[], int], send_away: Callable[[int], object]) -> None:
        """See `IEngine.level_with`."""
        self._count, self._send_away = count, send_away

    def caught_up(self) -> None:
        """The node is ready. Only the first time counts, because listeners stay when Redis is away."""
        if not self._has_come:
            self._has_come = True
            self._timer = self._call_later(AFTER, self._ask)

    def stop(self) -> None:
        """Ask nothing more."""
        self._has_come = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _ask(self) -> None:
        self._publish(self._channels.staying, b"?" + self._channels.own)
        self._timer = self._call_later(ANSWERS_WITHIN, self._level)

    def _level(self) -> None:
        if len(self._answers) > 1:
            mean = sum(self._answers) // len(self._answers)
            if max(self._answers) - mean >= LEAST:
                self._publish(self._channels.staying, b"!%d" % mean)
        self._answers.clear()

    def heard(self, text: bytes) -> None:
        """Take a question (`?` and the channel of the node that asks), the mean (`!` and a number), or an answer."""
        if not self._channels.is_staying:
            return
        kind, rest = text[:1], text[1:]
        if kind == b"?":
            if self._channels.is_of_node(rest):
                self._publish(rest, b"=%d" % self._count())
        elif rest.isdigit() and len(rest) < 10:
            if kind == b"!":
                self._go_down_to(int(rest))
            elif kind == b"=":
                self._answers.append(int(rest))

    def _go_down_to(self, mean: int) -> None:
        above = self._count() - mean
        if above >= max(LEAST, mean // 10):
            self._send_away(above)

    def _publish(self, channel: bytes, text: bytes) -> None:
        commands = self._session.commands
        if commands is not None and self._channels.is_staying:
            commands.execute(b"PUBLISH", channel, MARK + text).addErrback(lambda _failure: None)
