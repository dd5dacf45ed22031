"""The store that a setting names."""

from cometify.accounts.sqlite_store import SQLiteStore
from cometify.accounts.store import IAccountStore
from cometify.config.settings import Settings
from cometify.runtime.reactor import Reactor


def make_store(settings: Settings, reactor: Reactor) -> IAccountStore | None:
    """Make the store of the setting `accounts`, or return None if there is none."""
    url = settings.account_store
    if url is None:
        return None
    if url.path is not None:
        return SQLiteStore(reactor, url.path)
    from cometify.accounts.redis_store import RedisStore  # noqa: PLC0415 - txredisapi installs a reactor when it is imported.

    assert settings.redis is not None
    return RedisStore(reactor, settings.redis)
