"""What was seen within the last minutes: signatures, nonces, and the answers to pushes that may be sent again."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from cometify.core.account import SECOND

RECENTLY = 10 * 60 * SECOND
"""How long a signature, a nonce and an Idempotency-Key are remembered, in microseconds."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping that forgets. `now` is microseconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._when: deque[tuple[int, K]] = deque()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, now: int) -> V | None:
        """What was remembered of the key within ten minutes."""
        when = self._when
        while when and when[0][0] <= now - RECENTLY:
            del self._values[when.popleft()[1]]
        return self._values.get(key)

    def put(self, key: K, value: V, now: int, most: int | None = None) -> None:
        """Remember a key that is not, and forget the oldest beyond `most`."""
        when = self._when
        while most is not None and len(when) >= most:
            del self._values[when.popleft()[1]]
        self._values[key] = value
        when.append((now, key))
