"""The pushes that Redis keeps of each account, for the metrics.

No counter is kept for it. The accounts and their identifiers are counted in rounds, a bounded part with each command, because a
script stops everybody else:

    beat      asks for 200 identifiers       site01: 120 identifiers, site02: the first 80 of 300
    answer    asks for 200 more              site02: the next 200
    beat      asks for 200 more              site02: the last 20, site03: none. The round is over, and its figures are told

A round begins every ten seconds at most, and only while somebody reads the figures.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import ResponseError

from cometify.core.account import Account
from cometify.core.identifier_page import Kept
from cometify.engine.redis.account_state import name_of
from cometify.engine.redis.error_replies import is_of_one_account
from cometify.engine.redis.scripts import KEPT
from cometify.engine.redis.session import RedisSession

MOST_NAMES = 200
"""Identifiers that one script looks at, in 0.6 ms."""
MOST_ACCOUNTS = 100
"""Accounts of one script."""
SCRIPTS = 2
"""Scripts for each beat, which comes once a second. A cluster needs one for each account. They share the identifiers of two."""
EVERY = 10.0
"""Seconds from the beginning of one round to that of the next, at least."""
WANTED = 300.0
"""Seconds after a reading, or after the start, for which the rounds go on."""
_ACCOUNTS = b"cometify:kept"

log = Logger()

KeptOfAccounts: TypeAlias = Mapping[str, Kept]


class KeptFigures:
    """`accounts`: those of this server. `seconds`: a clock that never goes back. `in_cluster`: each script counts one account,
    because accounts have other slots.
    """

    def __init__(
        self, session: RedisSession, accounts: Iterable[Account], seconds: Callable[[], float], *, in_cluster: bool
    ) -> None:
        self._session = session
        self._most, self._scripts = (1, MOST_ACCOUNTS) if in_cluster else (MOST_ACCOUNTS, SCRIPTS)
        self._names = 0  # identifiers that the scripts of this beat may still look at
        self._accounts = accounts
        self._seconds = seconds
        self._kept: KeptOfAccounts | None = None
        self._read_at = seconds()
        self._began_at = -EVERY
        self._is_sent = False
        # The round: the accounts that are left, the bound from which on the first of them is counted, and what was found.
        self._left: list[str] = []
        self._lowest = "-"
        self._found: dict[str, Kept] = {}

    def read(self) -> KeptOfAccounts | None:
        """Return the figures of the last round, by API key, without accounts that keep nothing. None: nothing is known."""
        self._read_at = self._seconds()
        return self._kept if self._session.is_ready else None

    def beat(self) -> None:
        """Go on with the round, or begin one if it is time."""
        now = self._seconds()
        if self._is_sent:
            return
        if now - self._read_at > WANTED:
            self._give_up()
        elif self._left or now - self._began_at >= EVERY:
            if not self._left:
                self._began_at = now
                self._left = [account.api_key for account in self._accounts]
            self._names = SCRIPTS * MOST_NAMES
            self._send(self._scripts)

    def _give_up(self) -> None:
        self._kept, self._left, self._lowest, self._found = None, [], "-", {}

    def _send(self, scripts: int) -> None:
        commands = self._session.commands
        if commands is None or not scripts:
            return
        if not self._left:
            self._kept, self._found = self._found, {}
            return
        if self._names <= 0:
            return
        self._is_sent = True
        asked = self._left[: self._most]
        name = name_of(asked[0]) if self._most == 1 else _ACCOUNTS
        answered = commands.run(KEPT, name, min(MOST_NAMES, self._names), self._lowest, *map(name_of, asked))
        answered.addCallback(self._answered, asked, scripts).addErrback(self._not_answered, scripts)

    def _answered(self, answer: list[bytes], asked: list[str], scripts: int) -> None:
        self._is_sent = False
        last, (looked, *figures) = answer[0].decode(), map(int, answer[1:])
        self._names -= looked
        pairs = list(zip(figures[::2], figures[1::2], strict=True))
        for api_key, (pushes, octets) in zip(asked, pairs, strict=False):
            if pushes:
                before = self._found.get(api_key, Kept())
                self._found[api_key] = Kept(before.pushes + pushes, before.bytes + octets)
        self._left = self._left[len(pairs) - 1 if last else len(pairs) :]
        self._lowest = f"({last}" if last else "-"
        self._send(scripts - 1 if self._left else scripts)

    def _not_answered(self, failure: Failure, scripts: int) -> None:
        self._is_sent = False
        if self._most == 1 and failure.check(ResponseError) and is_of_one_account(failure):
            # Its slot alone is away. The others are counted without it.
            self._found.pop(self._left.pop(0), None)
            self._lowest = "-"
            self._send(scripts - 1 if self._left else scripts)
            return
        self._give_up()
        log.debug("Redis does not tell what it keeps: {reason}", reason=failure.getErrorMessage())
