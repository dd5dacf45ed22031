"""Scripts that were redirected, because their slot is elsewhere or on its way."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.engine.redis.cluster.connection import ClusterConnection, is_redirection, not_pushed
from cometify.engine.redis.cluster.map_watch import MapWatch
from cometify.engine.redis.connection import Argument
from cometify.engine.redis.scripts import Script
from cometify.engine.redis.session import RedisSession
from cometify.runtime.reactor import Clock

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

Answer = TypeVar("Answer")


class Redirector:
    """See `Redirections`. `session_of(name)`: the session with the master of a key."""

    def __init__(self, clock: Clock, watch: MapWatch, session_of: Callable[[bytes], RedisSession]) -> None:
        self._clock = clock
        self._watch = watch
        self._session_of = session_of
        self._count = 0
        # For each account when the first and when the last of its scripts was redirected.
        self._redirected: dict[bytes, tuple[float, float]] = {}
        self.is_stale = watch.is_stale

    def run_elsewhere(
        self, failure: Failure, script: Script[Answer], name: bytes, args: tuple[Argument, ...]
    ) -> Deferred[Answer]:
        """Run a script where its slot is now. Scripts keep their order. Nothing was done of one that fails, unless a
        connection is lost.
        """
        if self._count >= MOST_FOLLOWED:
            return defer.fail(not_pushed(script) or failure)
        self._count += 1
        return self._run(failure, script, name, args).addBoth(self._done)

    def _done(self, result: Any) -> Any:
        self._count -= 1
        return result

    @defer.inlineCallbacks
    def _run(
        self, failure: Failure, script: Script[Answer], name: bytes, args: tuple[Argument, ...]
    ) -> Generator[Deferred[Any], Any, Answer]:
        until = self._until(name)
        latest = self._clock.seconds() + MOVED_WITHIN
        while True:
            if str(failure.value).startswith("MOVED"):
                until = max(until, latest)
                yield self._watch.read()
            session = self._session_of(name)
            connection = session.commands
            if session.is_ready and isinstance(connection, ClusterConnection):
                try:
                    answer: Answer = yield connection.run_here(script, name, *args)
                except Exception:
                    failure = Failure()
                    if not is_redirection(failure):
                        raise
                else:
                    self._redirected.pop(name, None)
                    return answer
            if self._clock.seconds() >= until:
                (not_pushed(script) or failure).raiseException()
            paused: Deferred[None] = Deferred()
            self._clock.callLater(FOLLOW_EVERY, paused.callback, None)
            yield paused

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
