"""Looks at the memory of Redis now and then, and warns before it is full or because it would evict keys.

A Redis that evicts keys loses pushes, and one that is full refuses all pushes. The figures come from INFO, which some clouds
and the rights of some users forbid. Then nothing is known, which is not a fault.
"""

from collections.abc import Callable
from typing import cast

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.engine.redis.connection import RedisConnection, Reply
from cometify.interfaces import NO_EVICTION

log = Logger()

LOOK_EVERY = 30.0
"""Seconds between two looks."""
LOG_EVERY = 600.0
"""Seconds between two equal warnings."""
FULL = 0.8
"""The part of maxmemory above which the log warns."""


@attrs.frozen
class Memory:
    """The memory of Redis. `most`: maxmemory, 0 for none. `policy`: maxmemory-policy."""

    used: int
    most: int
    policy: str


class MemoryWatch:
    """`where`: the place of Redis, for the log. `seconds`: a clock that never goes back.

    `memory`: as of the last look, None if nothing is known.
    """

    def __init__(self, where: str, seconds: Callable[[], float]) -> None:
        self._where = where
        self.memory: Memory | None = None
        self._seconds = seconds
        self._looked_at = 0.0
        self._connection: RedisConnection | None = None  # of the last look
        self._is_forbidden = False
        self._warned_at: dict[str, float] = {}

    def look(self, connection: RedisConnection) -> None:
        """Ask Redis, if the last look was at another connection or is old enough."""
        now = self._seconds()
        if connection is self._connection and (self._is_forbidden or now - self._looked_at < LOOK_EVERY):
            return
        self._looked_at = now
        self._connection, self._is_forbidden = connection, False
        connection.execute(b"INFO", b"memory").addCallbacks(self._told, self._not_told)

    def _told(self, reply: Reply) -> None:
        lines = cast("bytes", reply).decode(errors="replace").splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        try:
            self.memory = memory = Memory(
                int(told["used_memory"]), int(told.get("maxmemory", "0")), told.get("maxmemory_policy", NO_EVICTION)
            )
        except (KeyError, ValueError):
            self.memory = None
            return
        if memory.policy != NO_EVICTION:
            self._warn(
                "maxmemory-policy",
                f"its maxmemory-policy is {memory.policy}, so it drops keys when its memory is full, and with them pushes, "
                "slots of listeners and what gaps are told by. Set maxmemory-policy noeviction",
            )
        if memory.most and memory.used > FULL * memory.most:
            self._warn(
                "memory",
                f"it uses {memory.used / memory.most:.0%} of its maxmemory. When that is full, all pushes and joins are "
                "refused. Raise maxmemory, or lower keep_bytes or pushes_per_second of accounts",
            )

    def _not_told(self, failure: Failure) -> None:
        self.memory = None
        if not self._is_forbidden:
            log.debug("Redis does not tell its memory: {reason}", reason=failure.getErrorMessage())
        self._is_forbidden = True

    def _warn(self, subject: str, text: str) -> None:
        now = self._seconds()
        if now - self._warned_at.get(subject, -LOG_EVERY) >= LOG_EVERY:
            self._warned_at[subject] = now
            warning = "Redis ({where}) can lose or refuse pushes: {text}."
            log.warn(warning, where=self._where, text=text)  # noqa: G010 - this is Twisted's
