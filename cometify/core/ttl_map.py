"""What was seen within the last minutes: signatures, nonces, and the answers to pushes that may be sent again."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from cometify.core.position import SECOND

TTL = 10 * 60 * SECOND
"""How long a signature, a nonce and an Idempotency-Key are remembered, in microseconds."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TTLMap(Generic[K, V]):
    """A mapping that forgets. `now` is microseconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._keys: deque[K] = deque()  # and when each came: a tuple of the two would be a third of the memory
        self._when: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, now: int) -> V | None:
        """What was remembered of the key within ten minutes."""
        when = self._when
        while when and when[0] <= now - TTL:
            self._forget_oldest()
        return self._values.get(key)

    def first(self, key: K, value: V, now: int, most: int | None = None) -> V | None:
        """What was remembered of the key within ten minutes. If nothing, `value` is from now on, and the oldest beyond
        `most` is forgotten.
        """
        known = self.get(key, now)
        if known is None:
            while most is not None and len(self._when) >= most:
                self._forget_oldest()
            self._values[key] = value
            self._keys.append(key)
            self._when.append(now)
        return known

    def _forget_oldest(self) -> None:
        self._when.popleft()
        del self._values[self._keys.popleft()]
