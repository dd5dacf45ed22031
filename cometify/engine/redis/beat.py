"""The beat: once a second a node publishes a watermark to itself for every followed account."""

from collections.abc import Callable, Iterable

from twisted.python.failure import Failure

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.connection import RedisConnection
from cometify.engine.redis.error_replies import AccountErrors, is_of_one_account
from cometify.engine.redis.reader import Reader
from cometify.engine.redis.scripts import READ, ReadAnswer
from cometify.engine.redis.session import RedisSession


class Beat:
    """`account_errors`: logs why an account has no watermark."""

    def __init__(self, session: RedisSession, reader: Reader, account_errors: AccountErrors) -> None:
        self._session = session
        self._reader = reader
        self._account_errors = account_errors

    def publish(self, states: Iterable[AccountState], unconfirmed: Callable[[AccountState, int], None]) -> None:
        """Publish a bare beat, and a watermark for each of the accounts.

        The bare beat proves that the subscription works even if no account is followed. `unconfirmed(state, position)`:
        called for an account in which pushes up to `position` wait for replicas.
        """
        commands = self._session.commands
        assert commands is not None
        self._session.must(self._reader.beat(commands), commands)
        for state in states:
            self._ask(state, commands, unconfirmed)

    def _ask(
        self, state: AccountState, commands: RedisConnection, unconfirmed: Callable[[AccountState, int], None]
    ) -> None:
        asked = self._reader.ask_position(state, commands, is_beat=True)
        checked = asked.addCallback(_check_unconfirmed, state, unconfirmed)
        self._session.must(checked.addErrback(self._failed, state), commands)

    def _failed(self, failure: Failure, state: AccountState) -> None:
        """Leave the account without its watermark if the error is its own. Its pushes are still heard."""
        if not is_of_one_account(failure):
            failure.raiseException()
        self._account_errors.log(failure, state.account.api_key, READ.name)


def _check_unconfirmed(
    answer: ReadAnswer, state: AccountState, unconfirmed: Callable[[AccountState, int], None]
) -> None:
    watermark, position = int(answer[0]), int(answer[1])
    if watermark < position:
        unconfirmed(state, position)
