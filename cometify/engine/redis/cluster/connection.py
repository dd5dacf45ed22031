"""A connection to a master of a cluster: scripts that are redirected, and channels in slots."""

from collections import deque
from collections.abc import Callable, Container, Iterable
from typing import Any, Protocol, TypeVar, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.connection import Argument, NotSentError, RedisConnection, Reply
from cometify.engine.redis.error_replies import first_error
from cometify.engine.redis.scripts import APPEND, PUBLISH_CONFIRMED, Script, in_cluster
from cometify.runtime.epoll_loop import CallSoon

Answer = TypeVar("Answer")

REDIRECTIONS = ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN Hash slot not served")
"""The first words of a reply that a slot is elsewhere, on its way, or nowhere. Nothing of the command was done."""
_LEAVING = 0
"""The count of a SUNSUBSCRIBE among the commands whose channels are counted."""
_TELLING = (*REDIRECTIONS, "CLUSTERDOWN", "READONLY")
"""Those of a reply after which the map must be read again."""


_PONGS = (b"PONG", [b"pong", b""])
"""The answers to PING: the second one comes to a connection that is subscribed."""


def is_redirection(failure: Failure) -> bool:
    """True if a command was not done, because its slot is elsewhere or on its way."""
    return failure.check(ResponseError) is not None and str(failure.value).startswith(REDIRECTIONS)


class Redirections(Protocol):
    """The part of the cluster that a connection calls."""

    @property
    def waiting(self) -> Container[bytes]:
        """The names of accounts of which a script was redirected and waits. Later ones wait behind it."""

    def is_stale(self, reply: str = "") -> None:
        """The map is no longer true. `reply`: the reply that says so."""

    def run_elsewhere(
        self, failure: Failure, script: Script[Answer], name: bytes, args: tuple[Argument, ...]
    ) -> Deferred[Answer]:
        """Run a script that was redirected where its slot is now."""


class ClusterConnection(RedisConnection):
    """`redirections`: see `Redirections`. `mark`: that of the master, see `Master`.

    Each script declares two keys: the name of the account, and one that never exists, which ends with the mark. While the slot
    of the account is on its way to another master, its keys are at two masters, and no script could work. Then the key that
    does not exist makes Redis refuse each script before it runs, with TRYAGAIN or ASK. So a script does nothing, or all that it
    must do. The names of the channels on which it publishes begin with that key, so that they name the master that it was sent
    to.

    `ended(channel)` is called when Redis has ended a subscription, because the slot of the channel goes. Redis tells this with
    the message that confirms a SUNSUBSCRIBE as well, and the two can cross. Then the message comes first, and an error for the
    SUNSUBSCRIBE follows. So a PING is sent behind each SUNSUBSCRIBE. All that comes before its answer is of that command.
    """

    def __init__(
        self, seconds: Callable[[], float], call_soon: CallSoon, redirections: Redirections, mark: bytes
    ) -> None:
        super().__init__(seconds, call_soon)
        self._redirections = redirections
        self._mark = mark
        # The channels of each SUNSUBSCRIBE that waits in `_subscribing`.
        self._leaving: deque[list[bytes]] = deque()
        self.ended: Callable[[bytes], None] | None = None
        self.follows = True
        """False: a script that is redirected fails. It is for pushes that wait for replicas of this very master."""

    def run(self, script: Script[Answer], name: bytes, *args: Argument) -> Deferred[Answer]:
        if self.follows and name in self._redirections.waiting:
            failure = Failure(ResponseError("TRYAGAIN earlier scripts of the account wait"))
            return self._redirections.run_elsewhere(failure, script, name, args)
        answered: Deferred[Answer] = self.run_here(script, name, *args).addErrback(self._not_run, script, name, args)
        return answered

    def _not_run(self, failure: Failure, script: Script[Answer], name: bytes, args: tuple[Argument, ...]) -> Any:
        if not is_redirection(failure):
            return failure
        if self.follows:
            return self._redirections.run_elsewhere(failure, script, name, args)
        return not_pushed(script) or failure

    def run_here(self, script: Script[Answer], name: bytes, *args: Argument) -> Deferred[Answer]:
        """Run a script as `run` does, but fail if it is redirected."""
        here = in_cluster(script)
        keys = (2, name, name + self._mark)
        if here.digest in self._sent:
            answered = self._execute((b"EVALSHA", here.digest, *keys, *args), here.source)
        else:
            self._sent.add(here.digest)
            answered = self.execute(b"EVAL", here.source, *keys, *args)
        return cast("Deferred[Answer]", answered)

    # Channels. Those in slots have a hash tag.

    def subscribe(self, channels: list[bytes]) -> Deferred[None]:
        confirmed: list[Deferred[None]] = []
        for command, some in _by_slot(channels, b"SUBSCRIBE"):
            done: Deferred[None] = Deferred()
            confirmed.append(done)
            self._subscribing.append((len(some), done))
            self._write((command, *some))
        return defer.gatherResults(confirmed, consumeErrors=True).addCallbacks(lambda _all: None, first_error)

    def unsubscribe(self, channels: list[bytes]) -> None:
        for command, some in _by_slot(channels, b"UNSUBSCRIBE"):
            if command == b"SUNSUBSCRIBE":
                # If the connection is lost, the subscriptions have gone with it.
                left: Deferred[None] = Deferred().addErrback(lambda _failure: None)
                self._subscribing.append((_LEAVING, left))
                self._leaving.append(some)
                self._write((command, *some))
                self._write((b"PING",))
            else:
                self._write((command, *some))

    def _replied(self, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            words = str(reply)
            if words.startswith(_TELLING):
                self._redirections.is_stale(words)
            if self._subscribing and self.heard is not None:
                if self._is_leaving():
                    return  # the slot has gone, and the subscriptions with it
                _count, waiting = self._subscribing.popleft()
                waiting.errback(reply)
                return
        elif isinstance(reply, list) and self.heard is not None:
            kind = reply[0]
            if kind == b"smessage":
                self.heard(cast("bytes", reply[1]), cast("bytes", reply[2]))
                return
            if kind == b"ssubscribe":
                self._subscribed()
                return
            if kind == b"sunsubscribe":
                self._unsubscribed(cast("bytes", reply[1]))
                return
        if self._is_leaving() and reply in _PONGS:
            self._leaving.popleft()
            self._subscribing.popleft()
            return
        super()._replied(reply)

    def _is_leaving(self) -> bool:
        """True if what comes now is the answer to a SUNSUBSCRIBE, or to its PING."""
        return bool(self._subscribing) and self._subscribing[0][0] == _LEAVING

    def _unsubscribed(self, channel: bytes) -> None:
        if self._is_leaving() and channel in self._leaving[0]:
            return
        self._redirections.is_stale()
        if self.ended is not None:
            self.ended(channel)


def not_pushed(script: Script[Answer]) -> Failure | None:
    """The failure of a push: nothing was done of it, or it is kept and was not published. None for another script."""
    if script.name == APPEND.name:
        return Failure(NotSentError("its slot is on its way to another Redis"))
    if script.name == PUBLISH_CONFIRMED.name:
        # No error reply, because the publisher must hear that the push is kept. The nodes publish it with the next beat.
        return Failure(RedisError("its slot went to another Redis before it was published"))
    return None


def _by_slot(channels: Iterable[bytes], command: bytes) -> Iterable[tuple[bytes, list[bytes]]]:
    """Yield the commands for some channels: one for those without a slot, and one for each account."""
    groups: dict[bytes, list[bytes]] = {}
    for channel in channels:
        groups.setdefault(channel.partition(b"}")[0] if b"{" in channel else b"", []).append(channel)
    for account, some in groups.items():
        yield (b"S" + command if account else command), some
