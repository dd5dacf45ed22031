"""The list of all Redis that a Redis was last used by, and what happens when it was another one.

An account that moves has an empty memory at its new Redis, and its listeners are told a gap. That needs nothing, as long as the
new Redis really has nothing of the account. It may have something, because the account was there before: listeners would then
miss what was pushed elsewhere meanwhile, and be told nothing. So a node that starts compares its list with the record, a key
that lives for a minute and is renewed by all nodes:

    the same      Nothing happens.
    another one   The accounts that are elsewhere now are forgotten here, because they may come back.
    none          For a minute nobody has used this Redis by a list, and accounts may have been elsewhere. All are forgotten.

A node whose renewal replaces another list tells of it in the log, once a minute. Some node then uses another list, and the two
keep some accounts in two places.

Forgetting an account takes its state away. Its memory begins again with the next push or join, as that of an emptied Redis.
"""

from collections.abc import Generator
from typing import Any, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.engine.redis.account_state import name_of
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.error_replies import in_words
from cometify.engine.redis.spread import Spread

KEY = b"cometify:{.}:spread"
SECONDS = 60
"""The life of the record. Whoever brings a Redis back into the list must have left it out for longer."""
AT_ONCE = 500
"""Keys that are looked at in one command."""
_BEFORE, _BEHIND = "cometify:{", "}:state"

log = Logger()


class SpreadRecord:
    """`spread`: the list of this node."""

    def __init__(self, spread: Spread) -> None:
        self._spread = spread
        self._record = spread.record().encode()
        self._is_comparing = self._is_compared = False
        self._quiet_beats = 0

    def beat(self, commands: RedisConnection) -> None:
        """Renew the record, or compare it if that was not done yet. Called once a second while Redis is there."""
        is_alone = len(self._spread.names) == 1
        if self._is_compared:
            if not is_alone:
                renewed = commands.execute(b"SET", KEY, self._record, b"EX", SECONDS, b"GET")
                renewed.addCallbacks(self._renewed, lambda _failure: None)
        elif not self._is_comparing:
            self._is_comparing = True
            # Without a list nothing moves, but a list that comes later must not trust this Redis.
            compared = commands.execute(b"DEL", KEY) if is_alone else self._compare(commands)
            compared.addCallbacks(self._compared, self._failed)

    def _compared(self, _result: object) -> None:
        self._is_comparing, self._is_compared = False, True

    def _renewed(self, found: bytes | None) -> None:
        self._quiet_beats = max(0, self._quiet_beats - 1)
        if found not in (None, self._record) and not self._quiet_beats:
            self._quiet_beats = SECONDS
            log.error(
                "{name}: another node uses another list of Redis, so that some accounts are kept in two places. Stop all "
                "nodes, give them the same list, and start them again.",
                name=self._spread.name,
            )

    @defer.inlineCallbacks
    def _compare(self, commands: RedisConnection) -> Generator[Deferred[Any], Any, None]:
        found = yield commands.execute(b"GET", KEY)
        if found != self._record:
            forgotten = yield self._forget(commands, all_of_them=found is None)
            if forgotten:
                log.info(
                    "{name}: the list of Redis is another one than before. {count} accounts begin again, and their listeners "
                    "are told a gap.",
                    name=self._spread.name,
                    count=forgotten,
                )
            yield commands.execute(b"SET", KEY, self._record, b"EX", SECONDS)

    @defer.inlineCallbacks
    def _forget(self, commands: RedisConnection, *, all_of_them: bool) -> Generator[Deferred[Any], Any, int]:
        """Forget the accounts that are not here, or all of them. Returns their number."""
        cursor, count = b"0", 0
        while True:
            pattern = f"{_BEFORE}*{_BEHIND}"
            cursor, keys = yield commands.execute(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", AT_ONCE)
            for key in cast("list[bytes]", keys):
                api_key = key.decode()[len(_BEFORE) : -len(_BEHIND)]
                if "}" not in api_key and (all_of_them or not self._spread.is_here(api_key)):
                    count += 1
                    yield commands.execute(b"UNLINK", name_of(api_key), key)
            if cursor == b"0":
                return count

    def _failed(self, failure: Failure) -> None:
        """Try again with the next beat, because a connection can be lost at any time."""
        self._is_comparing = False
        log.debug("The record of the list of Redis could not be compared: {reason}", reason=in_words(failure))
