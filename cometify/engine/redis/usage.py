"""The usage of accounts over all nodes: see `IUsageBook`, and the keys in lua/add_usage.lua.

Every few seconds a node writes what it has counted since, a batch of accounts with each command. So the figures are exact over
all nodes, and a node that is killed loses the seconds since its last batch.

A batch has a number. If Redis does not answer, the node sends the same batch again until it is answered, and Redis adds it
once. Whatever is counted meanwhile is taken with a later batch, so nothing is lost while Redis is away. The hour and the day
are those in which Redis adds a batch.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.usage import Usage
from cometify.core.usage_history import DAY_LENGTH, DAYS, FIGURES, HOUR_LENGTH, UsagePeriod, UsageReport
from cometify.engine.redis.account_state import name_of
from cometify.engine.redis.connection import Argument, RedisConnection
from cometify.engine.redis.error_replies import in_words
from cometify.engine.redis.scripts import ADD_USAGE, USAGE

MOST_ACCOUNTS = 100
"""Accounts of one command. Redis takes 20 us for each, and does nothing else meanwhile."""
_REFUSED = "refused:"

log = Logger()


class SessionForUsage(Protocol):
    """The part of `RedisSession` that is used here."""

    @property
    def commands(self) -> RedisConnection | None:
        """See `RedisSession`."""

    @property
    def is_ready(self) -> bool:
        """See `RedisSession`."""


class RedisUsage:
    """`node`: the name of this process. `run(script, account, *arguments)`: runs a script for a question of a back end.

    `batches`: the name of the keys of the batches. `name_of(api_key)`: that of the keys of an account.
    """

    _usage: Usage
    """See `IUsageBook.watch`."""

    def __init__(
        self,
        session: SessionForUsage,
        node: str,
        run: Callable[..., Deferred[Any]],
        batches: bytes = b"cometify:usage",
        name_of: Callable[[str], bytes] = name_of,
    ) -> None:
        self._session = session
        self._batches = batches
        self._name_of = name_of
        self._node = node
        self._run = run
        self._number = 0
        self._is_asked = False  # for another round over all accounts
        # The batch that Redis has not answered yet, and whether it was sent and may still be answered.
        self._batch: list[Argument] | None = None
        self._is_sent = False
        self._has_failed = False
        self._waiting: list[Deferred[None]] = []

    def watch(self, usage: Usage) -> None:
        self._usage = usage

    def report(self) -> Deferred[None]:
        self._is_asked = True
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        if not self._is_sent:
            self._send()
        return done

    def _send(self) -> None:
        """Send the next batch, if there is one and Redis is there."""
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            self._rest()
            return
        if self._batch is None:
            self._batch = self._next_batch()
        if self._batch is None:
            self._rest()
            return
        self._is_sent = True
        commands.run(ADD_USAGE, self._batches, *self._batch).addCallbacks(self._added, self._not_added)

    def _next_batch(self) -> list[Argument] | None:
        """Make the next batch of the round, or the first of another one that was asked for. None: nothing is left."""
        periods = self._usage.take(MOST_ACCOUNTS)
        if not periods and self._is_asked:
            self._is_asked = False
            self._usage.begin_round()
            periods = self._usage.take(MOST_ACCOUNTS)
        if not periods:
            return None
        self._number += 1
        batch: list[Argument] = [self._node, self._number]
        for api_key, period in periods.items():
            counts = self._usage.figures().get(api_key)
            figures = [part for pair in _figures_of(period) for part in pair]
            listeners = 0 if counts is None else counts.listeners
            batch += [self._name_of(api_key), listeners, period.most_listeners, len(figures) // 2, *figures]
        return batch

    def _added(self, _count: int) -> None:
        self._batch, self._is_sent, self._has_failed = None, False, False
        self._send()

    def _not_added(self, failure: Failure) -> None:
        self._is_sent = False
        if not self._has_failed:
            self._has_failed = True
            log.error(
                "Redis has not taken the usage of accounts: {reason}. It is sent again every few seconds, and nothing of it is "
                "lost while this process runs.",
                reason=in_words(failure).rstrip("."),
            )
        self._rest()

    def _rest(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    def read(self, account: Account) -> Deferred[UsageReport]:
        return self._run(USAGE, account, DAYS).addCallback(_read_report)


def _figures_of(period: UsagePeriod) -> Iterator[tuple[str, int]]:
    """Yield the name and the increase of each figure that has grown."""
    yield from ((name, value) for name, value in period.figures.items() if value)
    yield from ((_REFUSED + code, count) for code, count in period.refused.items())


def _read_report(answer: list[Any]) -> UsageReport:
    now, listeners, hour, *days = answer
    at = int(now)
    periods = tuple(map(_read_period, days))
    return UsageReport(listeners, (at // HOUR_LENGTH, _read_period(hour)), at // DAY_LENGTH, periods)


def _read_period(fields: list[bytes]) -> UsagePeriod:
    values = {name.decode(): int(value) for name, value in zip(fields[::2], fields[1::2], strict=True)}
    period = UsagePeriod(most_listeners=values.get("most_listeners", 0))
    period.figures.update({name: values[name] for name in FIGURES if name in values})
    refused = {name: count for name, count in values.items() if name.startswith(_REFUSED)}
    period.refused.update({name.removeprefix(_REFUSED): count for name, count in refused.items()})
    return period
