"""Disconnecting over all nodes.

The node that was asked runs `disconnect.lua`, which keeps the revocation and publishes a question on a channel that all nodes
hear. Each node, this one too, ends its connections and publishes their number on the asking node's own channel (see
`Questions`).

    asked     [ disconnect.lua: keeps "1764000001 user_7", publishes the question; 2 nodes hear it ]
    node 1    question: ends 2 connections, answers 2
    node 2    question: ends none, answers 0
    node 3    is out of touch. Its next read of the account (after it has connected, or with a beat) sends the version that it
              knows, and brings "1764000001 user_7". It ends the connections whose token is older than that

A listener joins only after the rings of its account were read (see "The seam" in this package's docstring). The same read
brings the revocations up to that moment. Later ones are heard, and are noted before the listener can join. So a revoked token
joins nowhere.

An answer has at most 500 revocations, because a step of the event loop must not take long. If there are more, they are read
before the listener joins.

A read can bring a revocation before its question is heard, because the two come over different connections. The question
must still find the connections, to count them. So a revocation that a read has brought ends connections `ANSWERS_WITHIN`
seconds later. A node that was out of touch has missed the question, and its read brings the pushes that it has missed too.
There the connections end first, because a push from after the disconnect must not reach them.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from math import inf

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.revocation import Disconnect
from cometify.engine.redis import unavailable
from cometify.engine.redis.account_state import AccountState, name_of
from cometify.engine.redis.connection import NotSentError
from cometify.engine.redis.messages import OPTIONAL, read_array
from cometify.engine.redis.questions import ANSWERS_WITHIN, Questions
from cometify.engine.redis.revocations import AccountRevocations
from cometify.engine.redis.scripts import DISCONNECT, read_count
from cometify.engine.redis.session import RedisSession
from cometify.interfaces import IDisconnect
from cometify.runtime.reactor import CallLater

_QUESTION = (str, str, str, OPTIONAL, OPTIONAL, int)
"""The shape of a question: number, own channel, API key, subject, listener, and the time of the call."""


class RedisDisconnects:
    """`own`: this node's own channel. `everybody`: the channel that all nodes hear. `states`: all accounts.

    `is_of_account(failure, api_key, command)`: logs an error that is one account's, or resets the session.
    """

    end: IDisconnect
    """See `IEngine.watch_disconnects`."""

    def __init__(
        self,
        session: RedisSession,
        own: bytes,
        everybody: bytes,
        states: Mapping[str, AccountState],
        call_later: CallLater,
        is_of_account: Callable[[Failure, str, str], bool],
    ) -> None:
        self._session = session
        self._own = own
        self._everybody = everybody
        self._states = states
        self._call_later = call_later
        self._is_of_account = is_of_account
        self._questions = Questions(call_later)

    # The revocations themselves.

    def revocations(self, api_key: str) -> AccountRevocations:
        """Make the revocations of an account that this node begins to use."""
        return AccountRevocations(partial(self._learned, api_key))

    def _learned(self, api_key: str, new: list[tuple[str, int]], is_late: bool) -> None:
        if is_late:
            # In one step. The pushes that were missed come next, and the fan-out would run between two steps.
            self._end_learned(api_key, new, at_once=True)
        else:
            self._call_later(ANSWERS_WITHIN, self._end_learned, api_key, new)

    def _end_learned(self, api_key: str, new: list[tuple[str, int]], *, at_once: bool = False) -> None:
        for subject, at in new:
            self.end(api_key, Disconnect(subject=subject), at, at_once=at_once)

    # Asking.

    def ask(self, account: Account, disconnect: Disconnect, at: int, nonce: str | None) -> Deferred[int]:
        """Disconnect on all nodes. See `IEngine.disconnect`."""
        api_key = account.api_key
        commands = self._session.commands
        if commands is None or not self._session.is_ready:
            return defer.fail(unavailable.nobody_disconnected())
        entry = "" if disconnect.subject is None else f"{at} {disconnect.subject}"
        state = self._states.get(api_key)
        known = 0 if state is None else state.revocations.known

        def publish(number: str) -> Deferred[int]:
            text = json.dumps([number, self._own.decode(), api_key, disconnect.subject, disconnect.listener, at])
            answered = commands.run(
                DISCONNECT,
                name_of(api_key),
                self._everybody,
                f"?{text}",
                entry,
                known,
                nonce or b"",
                account.request_memory,
            )
            return answered.addCallback(read_count, account)

        counted = self._questions.ask(publish).addCallback(lambda answers: sum(map(int, answers)))
        return counted.addErrback(self._failed, api_key)

    def _failed(self, failure: Failure, api_key: str) -> Failure:
        if failure.check(Refused):
            return failure
        if failure.check(NotSentError):
            return Failure(unavailable.nobody_disconnected())
        self._is_of_account(failure, api_key, DISCONNECT.name)
        return Failure(unavailable.perhaps_disconnected())

    # Hearing.

    def heard(self, text: bytes) -> None:
        """Handle a question of any node, or an answer to a question of this one."""
        if text.startswith(b"?"):
            self._heard_question(*read_array(text[1:], _QUESTION))
            return
        self._questions.heard(text[1:])

    def _heard_question(
        self, number: str, asker: str, api_key: str, subject: str | None, listener: str | None, at: int
    ) -> None:
        state = self._states.get(api_key)
        if subject is not None and state is not None:
            state.revocations.note(subject, at)
        counted = self.end(api_key, Disconnect(subject, listener), inf)
        counted.addCallback(partial(self._tell, asker, number))

    def _tell(self, asker: str, number: str, count: int) -> None:
        commands = self._session.commands
        if commands is not None:  # else the asking node does not wait for longer than a second
            told = commands.execute(b"PUBLISH", asker, f"!={number} {count}")
            told.addErrback(lambda _failure: None)
