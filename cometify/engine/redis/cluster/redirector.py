"""Scripts that were redirected, because their slot is elsewhere or on its way."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.engine.redis.cluster.connection import ClusterConnection, is_redirection, not_pushed
from cometify.engine.redis.cluster.map_watch import MapWatch
from cometify.engine.redis.connection import Argument
from cometify.engine.redis.scripts import APPEND, Script
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import Clock
from cometify.runtime.slices import SlicedWork

FOLLOW_WITHIN = 1.0
"""Seconds for which the scripts of an account are tried again, from the first one that was redirected on. Later ones fail at
once, because pushes wait behind each other, and each must have an answer within two seconds."""
MOVED_WITHIN = 0.3
"""Seconds for which a script is tried again in any case if its slot has arrived."""
CALM = 1.5
"""Seconds without a redirected script after which the next one is the first again. There is a beat each second."""
MOST_NAMES = 10_000
"""Accounts that are known to be redirected."""
FOLLOW_EVERY = 0.05
"""Seconds between two of these tries."""
MOST_FOLLOWED = 10_000
"""Scripts that are tried again at once. One that comes then is refused at once."""
MOST_TOGETHER = 50
"""Scripts of one account that are sent together."""

Answer = TypeVar("Answer")


@attrs.define(eq=False)
class _Redirected(Generic[Answer]):
    """A script that waits. `failure`: why it was not run. `until`: when it is given up."""

    script: Script[Answer]
    args: tuple[Argument, ...]
    failure: Failure
    until: float
    answered: Deferred[Answer] = attrs.field(factory=Deferred)

    def give_up(self) -> None:
        self.answered.errback(not_pushed(self.script) or self.failure)


class Redirector:
    """See `Redirections`. `session_of(name)`: the session with the master of a key.

    The scripts of an account wait in one line, and go on in its order: one that was redirected, and those that came while it
    waited. What stands behind a push is sent when the push is answered.
    """

    def __init__(self, clock: Clock, watch: MapWatch, session_of: Callable[[bytes], RedisSession]) -> None:
        self._clock = clock
        self._watch = watch
        self._session_of = session_of
        self._count = 0
        self.waiting: dict[bytes, deque[_Redirected[Any]]] = {}
        # For each account when the first and when the last of its scripts was redirected.
        self._redirected: dict[bytes, tuple[float, float]] = {}
        self._paused: list[Deferred[None]] = []
        self._going_on: SlicedWork[Deferred[None]] = SlicedWork(clock.callLater, lambda _paused: "an account")
        self.is_stale = watch.is_stale

    def run_elsewhere(
        self, failure: Failure, script: Script[Answer], name: bytes, args: tuple[Argument, ...]
    ) -> Deferred[Answer]:
        """Run a script where its slot is now. Nothing was done of one that fails, unless a connection is lost."""
        if self._count >= MOST_FOLLOWED:
            return defer.fail(not_pushed(script) or failure)
        self._count += 1
        one = _Redirected(script, args, failure, self._until(name))
        if str(failure.value).startswith("MOVED"):
            one.until = max(one.until, self._clock.seconds() + MOVED_WITHIN)
        answered = one.answered.addBoth(self._done)
        if (line := self.waiting.get(name)) is not None:
            line.append(one)
        else:
            line = self.waiting[name] = deque([one])
            self._serve(name, line)
        return answered

    def _done(self, result: Any) -> Any:
        self._count -= 1
        return result

    @defer.inlineCallbacks
    def _serve(self, name: bytes, line: deque[_Redirected[Any]]) -> Generator[Deferred[Any], Any, None]:
        """Try the first scripts of a line until none is left."""
        while line:
            if str(line[0].failure.value).startswith("MOVED"):
                yield self._watch.read()
            some = _take(line)
            yield self._try(name, some)
            now = self._clock.seconds()
            again = [one for one in some if not one.answered.called and now < one.until]
            line.extendleft(reversed(again))
            for one in some:
                if not one.answered.called and now >= one.until:
                    one.give_up()
            if line:
                yield self._pause(FOLLOW_EVERY if again else 0)
        del self.waiting[name]

    def _try(self, name: bytes, some: Sequence[_Redirected[Any]]) -> Deferred[Any]:
        """Send scripts to the master that has their slot now. Those that were redirected again have no answer yet."""
        session = self._session_of(name)
        connection = session.commands
        if not session.is_ready or not isinstance(connection, ClusterConnection):
            return defer.succeed(None)
        tried = []
        for one in some:
            answered = connection.run_here(one.script, name, *one.args)
            tried.append(answered.addCallbacks(self._answered, self._not_answered, (name, one), errbackArgs=(one,)))
        return defer.DeferredList(tried)

    def _answered(self, answer: Any, name: bytes, one: _Redirected[Any]) -> None:
        self._redirected.pop(name, None)
        one.answered.callback(answer)

    @staticmethod
    def _not_answered(failure: Failure, one: _Redirected[Any]) -> None:
        if is_redirection(failure):
            one.failure = failure
        else:
            one.answered.errback(failure)

    def _pause(self, seconds: float) -> Deferred[None]:
        """Fires after some time. Thousands of accounts can wait, so they go on in slices."""
        paused: Deferred[None] = Deferred()
        if seconds and self._paused:
            self._paused.append(paused)
        elif seconds:
            self._paused.append(paused)
            self._clock.callLater(seconds, self._end_pause)
        else:
            self._go_on([paused])
        return paused

    def _end_pause(self) -> None:
        paused, self._paused = self._paused, []
        self._go_on(paused)

    def _go_on(self, paused: list[Deferred[None]]) -> None:
        self._going_on.add("Trying redirected scripts again", paused, lambda: lambda one: one.callback(None))

    def _until(self, name: bytes) -> float:
        """Note that a script of an account was redirected. Returns until when it is tried again."""
        now = self._clock.seconds()
        first, last = self._redirected.pop(name, (now, now))
        if now - last > CALM:
            first = now
        if len(self._redirected) >= MOST_NAMES:
            self._redirected.clear()
        self._redirected[name] = first, now
        return first + FOLLOW_WITHIN


def _take(line: deque[_Redirected[Any]]) -> list[_Redirected[Any]]:
    """Take the first scripts of a line out, up to the first push."""
    some = [line.popleft()]
    while line and len(some) < MOST_TOGETHER and some[-1].script.name != APPEND.name:
        some.append(line.popleft())
    return some
