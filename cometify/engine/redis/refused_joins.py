"""Joins that are refused together, because the session that they waited for is lost."""

from collections import deque
from collections.abc import Callable, Iterable

from cometify.core.errors import Refused
from cometify.engine.redis.read_batch import MOST_JOINS, Follower
from cometify.runtime.reactor import CallLater

Refusal = Callable[[], Refused]


class RefusedJoins:
    """Refuses any number of joins, at most `MOST_JOINS` of them in one turn of the event loop.

    Each refusal is told to a listener. Thousands can wait when Redis goes away, and to refuse them all at once would
    hold up everybody else. The first are refused at once.
    """

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later
        self._left: deque[tuple[Refusal, Follower]] = deque()
        self._is_set = False

    def add(self, followers: Iterable[Follower], refusal: Refusal) -> None:
        """Refuse the joins with what `refusal()` returns, in their order."""
        self._left.extend([(refusal, follower) for follower in followers])
        if not self._is_set:
            self._refuse_some()

    def _refuse_some(self) -> None:
        self._is_set = False
        for _ in range(min(MOST_JOINS, len(self._left))):
            refusal, (_reach, _secret, followed) = self._left.popleft()
            followed.errback(refusal())
        if self._left and not self._is_set:
            self._is_set = True
            self._call_later(0, self._refuse_some)
