"""One connection to Redis: commands in flight, their replies, and what is published on its channels.

hiredis packs the commands and parses the replies. txredisapi gives the types of the errors, so that code that knows
txredisapi can catch them. Its own protocol is not used: decision 0011 says why.

Redis answers commands in the order in which they were sent, so a queue of Deferreds is all the state that commands need.
There is no timer for each command either. `RedisSession` looks at the oldest command four times a second instead.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar, cast

import hiredis
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from txredisapi import ConnectionError as RedisConnectionError
from txredisapi import ResponseError

from cometify.core.histogram import Histogram
from cometify.engine.redis.scripts import Script
from cometify.runtime.epoll_loop import CallSoon
from cometify.runtime.slices import SlicedWork
from cometify.runtime.sockets import set_no_delay
from cometify.runtime.transport import Transport

Argument: TypeAlias = bytes | str | int
"""One argument of a command. Text is sent as UTF-8, a number as its digits."""
Reply: TypeAlias = "bytes | int | ResponseError | list[Reply] | None"
"""A reply as hiredis reads it. Digits stay bytes: the text of a push may be "007"."""
Answer = TypeVar("Answer")


MOST_IN_FLIGHT = 20_000
"""Commands, and also pushes, that wait for an answer of Redis at once. A push that comes then is refused with `overloaded`."""
MOST_FAILED = 50
"""Commands that fail in one turn of the event loop. Each may be a request that is answered then, which takes about 50 us."""


class NotSentError(RedisConnectionError):
    """The connection was closed already, so that nothing of the command was sent."""


class RedisConnection(Protocol):
    """`seconds`: a clock that never goes back. `call_soon`: see `SlicedWork`.

    `heard(channel, text)` is called for each message of a subscription. `lost(reason)` is called once, when the
    connection is closed. By then the first commands in flight have failed. Thousands can be in flight, and the others fail
    in the turns that follow, `MOST_FAILED` in each. `latency`: observes the time of each command, unless it is None.
    """

    transport: Transport  # type: ignore[assignment] # Twisted's type has neither of the two methods that are called here

    def __init__(self, seconds: Callable[[], float], call_soon: CallSoon) -> None:
        self._reader = hiredis.Reader(protocolError=RedisConnectionError, replyError=ResponseError)
        self._seconds = seconds
        self._failing: SlicedWork[Deferred[Any]] = SlicedWork(call_soon, repr, MOST_FAILED)
        self._is_open = True
        # Each with the time at which it was sent, its reply, its source if it is a script that Redis should know, and itself.
        self._in_flight: deque[tuple[float, Deferred[Reply], bytes, tuple[Argument, ...]]] = deque()
        # The channels that a SUBSCRIBE still waits for: Redis confirms them one by one.
        self._subscribing: deque[tuple[int, Deferred[None]]] = deque()
        self.heard: Callable[[bytes, bytes], None] | None = None
        self.lost: Callable[[str], None] | None = None
        self.latency: Histogram | None = None
        self._reason: str | None = None
        # The digests of the scripts whose source was sent on this connection.
        self._sent: set[bytes] = set()

    def connectionMade(self) -> None:
        # Otherwise the kernel holds a command back while an earlier one is not acknowledged (Nagle's algorithm). Redis
        # acknowledges it with its answer, so that the command would take a second round trip.
        set_no_delay(self.transport)

    def __len__(self) -> int:
        """The number of commands in flight."""
        return len(self._in_flight)

    def longest_wait(self) -> float:
        """The seconds for which the oldest command in flight has waited for its reply."""
        return self._seconds() - self._in_flight[0][0] if self._in_flight else 0.0

    def execute(self, *args: Argument) -> Deferred[Reply]:
        """Send a command. Fails with txredisapi's `RedisError`, and with `NotSentError` if nothing was sent."""
        return self._execute(args, b"")

    def _execute(self, args: tuple[Argument, ...], source: bytes) -> Deferred[Reply]:
        if not self._is_open:
            return defer.fail(NotSentError("the connection is closed"))
        reply: Deferred[Reply] = Deferred()
        self._in_flight.append((self._seconds(), reply, source, args))
        self._write(args)
        return reply

    def _write(self, args: tuple[Argument, ...]) -> None:
        self.transport.write(hiredis.pack_command(args))  # type: ignore[arg-type] # its stub says one argument

    def run(self, script: Script[Answer], name: bytes, *args: Argument) -> Deferred[Answer]:
        """Run a script on the account whose state in Redis has this name. Fails as `execute` does.

        The first time the source is sent, because this Redis may not know the script. If only its digest were sent, the
        source would have to follow later, and would run after commands that were sent in between.
        """
        if script.digest in self._sent:
            answered = self._execute((b"EVALSHA", script.digest, 1, name, *args), script.source)
        else:
            self._sent.add(script.digest)
            answered = self.execute(b"EVAL", script.source, 1, name, *args)
        return cast("Deferred[Answer]", answered)

    def subscribe(self, channels: list[bytes]) -> Deferred[None]:
        """Subscribe to channels. Fires once everything published from then on will be heard."""
        done: Deferred[None] = Deferred()
        self._subscribing.append((len(channels), done))
        self._write((b"SUBSCRIBE", *channels))
        return done

    def unsubscribe(self, channels: list[bytes]) -> None:
        """Unsubscribe from channels. Messages that are on their way are still heard."""
        self._write((b"UNSUBSCRIBE", *channels))

    def dataReceived(self, data: bytes) -> None:
        self._reader.feed(data)
        gets = self._reader.gets
        try:
            reply = gets()
            while reply is not False:
                self._replied(reply)
                reply = gets()
        except RedisConnectionError as error:
            self.abort(f"its reply could not be parsed ({error})")

    def _replied(self, reply: Reply) -> None:
        if isinstance(reply, list) and self.heard is not None:
            kind = reply[0]
            if kind == b"message":
                self.heard(cast("bytes", reply[1]), cast("bytes", reply[2]))
                return
            if kind == b"subscribe":
                self._subscribed()
                return
            if kind == b"unsubscribe":
                return
        if not self._in_flight:
            # Redis says so when it ends the connection of a client, for example because its output buffer is full.
            self.abort(f"it sent a reply that nothing had asked for ({reply!r})")
            return
        since, waiting, source, args = self._in_flight.popleft()
        if self.latency is not None:
            self.latency.observe(self._seconds() - since)
        if isinstance(reply, ResponseError):
            if source and str(reply).startswith("NOSCRIPT"):
                # This Redis has forgotten the script (SCRIPT FLUSH). Its source makes it known again.
                self.execute(b"EVAL", source, *args[2:]).chainDeferred(waiting)
            else:
                waiting.errback(reply)
        else:
            waiting.callback(reply)

    def _subscribed(self) -> None:
        left, done = self._subscribing[0]
        if left > 1:
            self._subscribing[0] = left - 1, done
        else:
            self._subscribing.popleft()
            done.callback(None)

    def abort(self, reason: str) -> None:
        """Close the connection at once. `reason`: what the commands in flight fail with."""
        self._reason = reason
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_open = False
        why = self._reason or _in_words(reason)
        waiting = map(itemgetter(1), chain(self._in_flight, self._subscribing))
        self._failing.add("Failing a command", waiting, lambda: partial(_fail, why), at_once=True)
        self._in_flight, self._subscribing = deque(), deque()
        if self.lost is not None:
            self.lost(why)


def _fail(why: str, waiting: Deferred[Any]) -> None:
    waiting.errback(RedisConnectionError(why))


def _in_words(lost: Failure) -> str:
    """The reason for which a transport was lost, for the log."""
    if lost.check(ConnectionDone):
        return "the connection was closed"
    return f"the connection was lost ({lost.getErrorMessage() or type(lost.value).__name__})"
