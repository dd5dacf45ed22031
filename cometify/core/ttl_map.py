"""A mapping that forgets what is ten minutes old: for signatures, nonces, and answers to pushes that may be sent again."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from cometify.core.position import SECOND

TTL = 10 * 60 * SECOND
"""The time for which a signature, a nonce and an Idempotency-Key are remembered, in microseconds."""
MOST_AT_ONCE = 100
"""The most entries that one call of `get` or `first` forgets."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TTLMap(Generic[K, V]):
    """Every `now` is in microseconds, of a clock that never goes back.

    Any number of entries can become due at once, ten minutes after a burst. Each call forgets a bounded number of them,
    so that no call takes long. An entry that is due stays remembered until a call has come to it. That is safe for what
    the map is used for: a nonce or a signature may be refused, and an answer repeated, a few seconds longer.
    """

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        # The keys in the order in which they came, and when each came. In one deque of pairs, the pairs
        # would be a third of the memory.
        self._keys: deque[K] = deque()
        self._when: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._when)

    def get(self, key: K, now: int) -> V | None:
        """The value that the key was given within the last ten minutes, or None."""
        when = self._when
        if when and when[0] <= now - TTL:
            self.forget(now, MOST_AT_ONCE)
        return self._values.get(key)

    def first(self, key: K, value: V, now: int, most: int | None = None) -> V | None:
        """Like `get`. A key without a value has `value` from now on, and the oldest entries beyond `most` are forgotten."""
        known = self.get(key, now)
        if known is None:
            if most is not None and len(self._when) >= most:
                self._forget_oldest(min(len(self._when) - most + 1, MOST_AT_ONCE))
            self._values[key] = value
            self._keys.append(key)
            self._when.append(now)
        return known

    def wait(self, count: int, most: int, now: int) -> int:
        """Return the microseconds after which `count` more keys fit without forgetting any, 0 if they fit now.

        For keys that must not be forgotten early. `most`: the most keys together, at least `count`.
        """
        over = len(self._when) + count - most
        if over <= 0:
            return 0
        over -= self.forget(now, MOST_AT_ONCE)
        return max(1, self._when[over - 1] + TTL - now) if over > 0 else 0

    def forget(self, now: int, most: int) -> int:
        """Forget the entries that are ten minutes old, at most `most` of them. Returns how many were forgotten."""
        when, due = self._when, now - TTL
        count = 0
        while count < most and when and when[0] <= due:
            self._forget_oldest(1)
            count += 1
        if count and not when:
            # A dict does not give back its memory when its last key is deleted.
            self._values = {}
        return count

    def _forget_oldest(self, count: int) -> None:
        for _ in range(count):
            self._when.popleft()
            del self._values[self._keys.popleft()]
