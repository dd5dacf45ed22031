"""The questions of a back end, answered by a node of several: see `IQueries`.

The pushes that are kept are in Redis. Each script reads a bounded part, because a script stops everybody else.

The nodes count the listeners. The node that was asked reads Redis. Meanwhile it asks all nodes, itself too, for their part of
the page (see `Questions`). Their pages and that of Redis are then merged into one (see `PageMerge`).

    asked     reads Redis                                                     chat: 3 pushes, news: 1 push
              publishes  @?[number, own channel, API key, prefix, after, limit]
    node 1    answers    @=number [[["chat", 2], ["orders", 1]], null]
    node 2    answers    @=number [[["chat", 5]], null]
    page      chat: 7 listeners, 3 pushes; news: none, 1 push; orders: 1 listener, none

A failover can still lose a push that waits for replicas (`redis_wait`). So a page with such a push is answered only when the
replicas have the push.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txredisapi import RedisError

from cometify.core.account import Account
from cometify.core.identifier_page import (
    AskedNames,
    IdentifierDetails,
    IdentifierPage,
    IdentifierRow,
    Kept,
    ListenerCount,
    added,
)
from cometify.core.integer import MAX_EXACT
from cometify.core.push import Push
from cometify.core.push_page import MOST_BYTES, AskedPushes, PushPage, has_gap, page_of
from cometify.core.retention import AccountRings
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState, name_of
from cometify.engine.redis.announcements import read_entries
from cometify.engine.redis.connection import Argument
from cometify.engine.redis.error_replies import first_error
from cometify.engine.redis.messages import read_array
from cometify.engine.redis.page_merge import PageMerge
from cometify.engine.redis.questions import Questions
from cometify.engine.redis.replica_wait import ReplicaWait
from cometify.engine.redis.scripts import IDENTIFIERS, PUSHES, USE_NONCE, Answer, Script, check_nonce
from cometify.engine.redis.session import RedisSession
from cometify.interfaces import IListenerCounts
from cometify.runtime.reactor import CallLater

PORTION, PORTION_BYTES = 128, 256 * 1024
"""Pushes that one script reads, in 2 ms, and the bytes after which it reads no further one."""
MOST_NAMES = 200
"""Identifiers that one script counts, in 0.9 ms."""
MOST_SCRIPTS = 10
"""Scripts for one page. A page is short if it would take more, because Redis still has names whose pushes have expired."""

_ONE = (str, str, str, str, str)
_PAGE = (*_ONE, str, int)
"""The shapes of both questions: number, own channel, API key and kind, then the identifier, or prefix, after and limit."""

T = TypeVar("T")
Refuse = Callable[[Failure, str, str], Failure]


class RedisQueries:
    """`own`: this node's own channel. `everybody`: the channel that all nodes hear. `states`: all accounts.

    `wait()`: waits for the first contact with Redis, None if there is nothing to wait for. `refuse(failure, api_key, command)`:
    turns an error of a command into a refusal.
    """

    _counts: IListenerCounts
    """See `IQueries.count_with`."""

    def __init__(
        self,
        session: RedisSession,
        own: bytes,
        everybody: bytes,
        states: Mapping[str, AccountState],
        replica_wait: ReplicaWait,
        call_later: CallLater,
        wait: Callable[[], Deferred[None] | None],
        refuse: Refuse,
    ) -> None:
        self._session = session
        self._own = own
        self._everybody = everybody
        self._states = states
        self._replica_wait = replica_wait
        self._wait = wait
        self._refuse = refuse
        self._questions = Questions(call_later)
        self._page_merge = PageMerge(call_later)

    def count_with(self, counts: IListenerCounts) -> None:
        self._counts = counts

    def run(self, script: Script[Answer], account: Account, *arguments: Argument) -> Deferred[Answer]:
        """Run a script on an account. Fails with `Refused` (engine_unavailable)."""
        waiting = self._wait()
        if waiting is not None:
            return waiting.addCallback(lambda _none: self.run(script, account, *arguments))
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            return defer.fail(unavailable.not_followed())
        answered = commands.run(script, name_of(account.api_key), *arguments)
        return answered.addErrback(self._refuse, account.api_key, script.name)

    def use_nonce(self, account: Account, nonce: str) -> Deferred[None]:
        return self.run(USE_NONCE, account, nonce, account.request_memory).addCallback(check_nonce, account)

    # Kept pushes.

    def pushes(self, account: Account, identifier: str, asked: AskedPushes) -> Deferred[PushPage]:
        return Deferred.fromCoroutine(self._read_pushes(account, identifier, asked))

    async def _read_pushes(self, account: Account, identifier: str, asked: AskedPushes) -> PushPage:
        """Read a page in portions, each above the last push of the portion before it.

        Positions grow, so no push is in two portions, and none comes below the last one. A push that was dropped between two
        portions is told by the floor, as one that was dropped between two pages.
        """
        pushes: list[Push] = []
        size, gap, more, unconfirmed = 0, False, 1, MAX_EXACT
        # Lua has no integers above this, and no position is as high.
        after: Argument = "" if asked.after is None else min(asked.after, MAX_EXACT)
        while more and len(pushes) < asked.limit and size < MOST_BYTES:
            most = min(PORTION, asked.limit - len(pushes)), min(PORTION_BYTES, MOST_BYTES - size)
            answer = await self.run(PUSHES, account, identifier, after, self._last_known(account, pushes), *most)
            now, since, floor, waits, more = map(int, answer[:5])
            portion = read_entries(identifier, answer[5])
            pushes += portion
            size += sum([len(push.frame) for push in portion])
            gap = gap or has_gap(since, now, floor)
            unconfirmed = min(unconfirmed, waits or MAX_EXACT)
            after = pushes[-1].position if pushes else ""
        page = page_of(pushes, asked.limit, gap, bool(more))
        highest = pushes[len(page.frames) - 1].position if page.frames else 0
        if highest >= unconfirmed and self._replica_wait.replicas:
            await self._confirm(account, highest)
        return page

    def _last_known(self, account: Account, pushes: Sequence[Push]) -> int:
        """The highest position of the account that is known here, also by the pushes that were read."""
        state = self._states.get(account.api_key)
        return max(0 if state is None else state.last_known, pushes[-1].position if pushes else 0)

    def _confirm(self, account: Account, position: int) -> Deferred[None]:
        """Wait until the replicas have the account's pushes up to a position. Fails with `Refused` if they do not answer."""
        connection, name = self._session.pushes, name_of(account.api_key)
        if connection is None:
            return defer.fail(unavailable.not_followed())
        # WAIT covers what came before on its own connection, so that there must be a write on this one.
        connection.execute(b"HSET", name + b":state", b"again", position).addErrback(lambda _failure: None)
        return self._replica_wait.confirm(connection, name, position).addErrback(_not_confirmed)

    # Identifiers.

    def identifiers(self, account: Account, asked: AskedNames) -> Deferred[IdentifierPage]:
        listened = self._ask_nodes(account, ["page", asked.prefix, asked.after, asked.limit])
        kept = self._read_kept(account, asked, f"[{asked.lowest}" if asked.lowest else "-", MOST_SCRIPTS)
        return _both(kept, listened).addCallback(lambda both: self._page_merge.merge(both[0], both[1], asked.limit))

    def _read_kept(self, account: Account, asked: AskedNames, lowest: str, left: int) -> Deferred[IdentifierPage]:
        """Read the identifiers that have pushes kept, from `lowest` on, with at most `left` scripts."""
        highest = f"({asked.prefix}\x7f" if asked.prefix else "+"
        answered = self.run(IDENTIFIERS, account, lowest, highest, min(asked.limit, MOST_NAMES))
        return answered.addCallback(self._kept_read, account, asked, left)

    def _kept_read(
        self, answer: list[bytes], account: Account, asked: AskedNames, left: int
    ) -> IdentifierPage | Deferred[IdentifierPage]:
        page = IdentifierPage(_read_kept_rows(answer), answer[0].decode() or None)
        if page.next is None or left == 1 or len(page.rows) >= asked.limit:
            return page
        missing = AskedNames(asked.prefix, page.next, asked.limit - len(page.rows))
        return self._read_kept(account, missing, f"({page.next}", left - 1).addCallback(
            lambda rest: IdentifierPage(page.rows + rest.rows, rest.next)
        )

    def identifier(self, account: Account, identifier: str) -> Deferred[IdentifierDetails]:
        listened = self._ask_nodes(account, ["one", identifier])
        kept = self.run(IDENTIFIERS, account, f"[{identifier}", f"[{identifier}", 1).addCallback(_read_kept_rows)
        return _both(kept, listened).addCallback(_details, identifier)

    # Asking all nodes.

    def _ask_nodes(self, account: Account, question: list[str | int]) -> Deferred[list[bytes]]:
        waiting = self._wait()
        if waiting is not None:
            return waiting.addCallback(lambda _none: self._ask_nodes(account, question))
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            return defer.fail(unavailable.not_followed())

        def publish(number: str) -> Deferred[int]:
            text = json.dumps([number, self._own.decode(), account.api_key, *question])
            return cast("Deferred[int]", commands.execute(b"PUBLISH", self._everybody, f"@?{text}"))

        asked = self._questions.ask(publish).addErrback(self._refuse, account.api_key, "PUBLISH")
        return asked.addCallback(_check_answered)

    def heard(self, text: bytes) -> None:
        """Handle a question of any node, or an answer to a question of this one."""
        if not text.startswith(b"?"):
            self._questions.heard(text[1:])
            return
        number, asker, api_key, kind, *question = read_array(text[1:], _ONE, _PAGE)
        if kind == "one":
            count = self._counts.of((api_key, question[0]))
            self._tell(asker, number, [dict(count.transports), count.secret])
            return
        state = self._states.get(api_key)
        rings = AccountRings() if state is None else state.account_rings
        page = self._counts.page(rings, AskedNames(*question), listened_only=True)
        page.addCallback(
            lambda page: self._tell(asker, number, [[[row.identifier, row.listeners] for row in page.rows], page.next])
        )

    def _tell(self, asker: str, number: str, answer: list[object]) -> None:
        commands = self._session.commands
        if commands is not None:  # else the asking node does not wait for longer than a second
            text = f"@={number} {json.dumps(answer, separators=(',', ':'))}"
            commands.execute(b"PUBLISH", asker, text).addErrback(lambda _failure: None)


def _read_kept_rows(answer: list[bytes]) -> tuple[IdentifierRow, ...]:
    rows = zip(answer[1::4], answer[2::4], answer[3::4], answer[4::4], strict=True)
    return tuple([IdentifierRow(name.decode(), 0, Kept(*map(int, figures))) for name, *figures in rows])


def _both(kept: Deferred[T], listened: Deferred[list[bytes]]) -> Deferred[tuple[T, list[bytes]]]:
    """Wait for Redis and for the nodes. Fails as the part that fails first."""
    both = defer.gatherResults([cast("Deferred[Any]", kept), cast("Deferred[Any]", listened)], consumeErrors=True)
    return both.addCallbacks(tuple, first_error)


def _check_answered(answers: list[bytes]) -> list[bytes]:
    """Refuse if no node has answered, not even the one that asks, because the session was lost."""
    if not answers:
        raise unavailable.not_followed()
    return answers


def _details(both: tuple[tuple[IdentifierRow, ...], list[bytes]], identifier: str) -> IdentifierDetails:
    rows, answers = both
    counts = [ListenerCount(*json.loads(answer)) for answer in answers]
    return IdentifierDetails(identifier, added(counts), rows[0].kept if rows else Kept())


def _not_confirmed(failure: Failure) -> None:
    failure.trap(RedisError)
    raise unavailable.not_confirmed()
