"""Nodes that share one store of accounts, on a clock that the test moves. The files and the Redis are real."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from cometify.accounts.followed_accounts import FollowedAccounts
from cometify.config.account_store_url import AccountStoreURL
from cometify.config.accounts import Accounts
from cometify.config.redis_url import RedisURL
from cometify.config.settings import Settings
from cometify.core.account import Account
from tests.sockets import SocketReactor

PATIENCE = 10
START = 1_764_000_000


class ThreadedReactor(MemoryReactorClock):
    """Calls from threads wait until `pump`."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: SimpleQueue[Callable[[], Any]] = SimpleQueue()

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kwargs: Any) -> None:  # noqa: A002 - Twisted's name
        self._calls.put(lambda: callable(*args, **kwargs))

    def pump(self) -> bool:
        """Do what the thread has asked for, if there is something soon."""
        until = time.monotonic() + 0.05
        while self._calls.empty():
            if time.monotonic() > until:
                return False
            time.sleep(0.0005)
        while not self._calls.empty():
            self._calls.get()()
        return True


class Node:
    """`place`: the file of SQLite, or the path of the socket of a Redis. `changes`: how often accounts have changed."""

    def __init__(self, place: Path | RedisURL, *of_file: Account, **settings: Any) -> None:
        is_redis = isinstance(place, RedisURL)
        self.reactor: Any = SocketReactor(lambda: None) if is_redis else ThreadedReactor()
        redis = place if isinstance(place, RedisURL) else None
        store = AccountStoreURL(None if isinstance(place, RedisURL) else place)
        self.settings = Settings(of_file, account_store=store, redis=redis, **settings)
        self.accounts = Accounts(of_file, is_complete=False)
        self.changes = 0
        self.followed = FollowedAccounts(
            self.settings, self.accounts, self._changed, self.reactor, lambda: START + self.reactor.seconds()
        )
        self.followed.startService()
        assert self.followed.follower is not None
        self.follower = self.followed.follower
        self.editor = self.followed.editor

    def _changed(self) -> None:
        self.changes += 1

    def wait(self, asked: Callable[[], Deferred[Any]]) -> Any:
        """Return the result of what is asked, or raise its error."""
        results: list[Any] = []
        asked().addBoth(results.append)
        until = time.monotonic() + PATIENCE
        while not results:
            assert time.monotonic() < until, "no answer"
            self.reactor.advance(0)
            self._pump()
        if isinstance(results[0], Failure):
            raise results[0].value
        return results[0]

    def _pump(self) -> None:
        with suppress(OSError, EOFError):  # of a Redis that a test has ended
            self.reactor.pump()

    def until(self, is_true: Callable[[], bool]) -> None:
        """Let time pass until it is true."""
        until = time.monotonic() + PATIENCE
        while not is_true():
            assert time.monotonic() < until, "it does not come true"
            self.reactor.advance(0.25)
            self._pump()

    def look(self) -> None:
        """Know what is in the store now."""
        self.until(lambda: self.accounts.is_complete)
        self.wait(self.follower.look_now)

    def put(self, api_key: str, /, must_be_new: bool = False, if_match: str | None = None, **body: Any) -> Any:
        self.until(lambda: self.accounts.is_complete)
        return self.wait(lambda: self.editor.put(api_key, body, if_match, must_be_new=must_be_new, by="a test"))

    def secrets(self, api_key: str) -> tuple[str, ...]:
        account = self.accounts.get(api_key)
        assert account is not None
        return account.api_secrets

    def stop(self) -> None:
        self.followed.stopService()
        if isinstance(self.reactor, SocketReactor):
            self.reactor.close()
        else:
            self.reactor.pump()
