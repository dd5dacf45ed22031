"""The turns of the questions that back ends ask. Theory of operation.

An answer of 1 MiB takes some milliseconds of this process, and as many of Redis. A back end can ask on hundreds of connections,
and everybody else would wait for all of them. So questions wait here, each account in a queue of its own:

- One question begins in each turn of the event loop, and accounts have them by turns.
- At most `MOST_OF_ACCOUNT` of an account are under way, and at most `MOST_TOGETHER` of all accounts. Redis is so never asked
  for more at once.
- An account above `MOST_WAITING` is refused, because its peers would not wait for so long.
- A question whose peer has left is not asked.

A peer that does not read keeps its answer in the memory of this process. So the next question of an account waits while
`MOST_UNREAD` bytes of its long answers are unread. The time of an idle connection ends the wait at the latest.
"""

from collections import deque
from collections.abc import Callable
from functools import partial

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.core import errors
from cometify.core.errors import Refused
from cometify.http.exchange import Exchange
from cometify.runtime.epoll_loop import CallSoon

MOST_OF_ACCOUNT = 2
"""Questions of an account under way: Redis answers one, and this process writes the other."""
MOST_TOGETHER = 4
"""Questions of all accounts under way. A script of each of them takes 2 ms of Redis, and pushes wait for as long."""
MOST_WAITING = 200
"""Questions of an account that wait. The longest take 20 ms each, so the last of 200 waits for 4 s."""
MOST_UNREAD = 8 * 2**20
"""Unread bytes of an account's answers above which no other is made."""

Answer = Callable[[], Deferred[int | None]]
"""Asks the engine, and answers the request. The Deferred fires with the bytes of the answer, None if it is a refusal."""


@attrs.define(eq=False)
class _Account:
    """The questions of an account. `is_in_line`: it waits for its turn. `unread`: see `MOST_UNREAD`."""

    api_key: str
    waiting: deque[tuple[Exchange, Answer]] = attrs.Factory(deque)
    under_way: int = 0
    unread: int = 0
    is_in_line: bool = False

    @property
    def may_begin(self) -> bool:
        """True if its next question may be asked."""
        return bool(self.waiting) and self.under_way < MOST_OF_ACCOUNT and self.unread < MOST_UNREAD

    @property
    def is_over(self) -> bool:
        """True if nothing need be known of it any longer."""
        return not (self.waiting or self.under_way or self.unread)

    def forget_gone(self) -> None:
        """Forget the questions whose peers have left."""
        self.waiting = deque([one for one in self.waiting if not one[0].gone])


class ListTurns:
    """`call_soon(0, function)` makes a call in the next turn of the event loop."""

    def __init__(self, call_soon: CallSoon) -> None:
        self._call_soon = call_soon
        self._accounts: dict[str, _Account] = {}
        self._line: deque[_Account] = deque()
        self._under_way = 0
        self._is_set = False

    def wait(self, api_key: str, request: Exchange, answer: Answer) -> None:
        """Call `answer` when the request has its turn. Raises `Refused` (overloaded)."""
        account = self._accounts.setdefault(api_key, _Account(api_key))
        if len(account.waiting) >= MOST_WAITING:
            account.forget_gone()
            if len(account.waiting) >= MOST_WAITING:
                raise Refused(
                    errors.OVERLOADED,
                    f"{MOST_WAITING} other lists of this account wait for their answers: ask for one after the other, and "
                    "read each answer.",
                )
        account.waiting.append((request, answer))
        self._go_on(account)

    def _go_on(self, account: _Account) -> None:
        """Put an account in the line if it may ask, and have the first of the line ask."""
        if account.may_begin and not account.is_in_line:
            account.is_in_line = True
            self._line.append(account)
        if self._line and self._under_way < MOST_TOGETHER and not self._is_set:
            self._is_set = True
            self._call_soon(0, self._begin)

    def _begin(self) -> None:
        self._is_set = False
        account = self._line.popleft()
        account.is_in_line = False
        while account.may_begin:
            request, answer = account.waiting.popleft()
            if not request.gone:
                account.under_way += 1
                self._under_way += 1
                answer().addBoth(self._end, account, request)
                break
        self._go_on(account)
        self._forget(account)

    def _end(self, size: int | Failure | None, account: _Account, request: Exchange) -> Failure | None:
        account.under_way -= 1
        self._under_way -= 1
        if isinstance(size, int):
            account.unread += size
            request.when_read(partial(self._read, account, size))
        self._go_on(account)
        self._forget(account)
        return size if isinstance(size, Failure) else None

    def _read(self, account: _Account, size: int) -> None:
        account.unread -= size
        self._go_on(account)
        self._forget(account)

    def _forget(self, account: _Account) -> None:
        if account.is_over:
            self._accounts.pop(account.api_key, None)
