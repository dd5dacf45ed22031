"""All that a process has of its accounts: those of the file, those of the store, and the editor."""

import time
from collections.abc import Callable

from twisted.application.service import MultiService, Service

from cometify.accounts.editor import AccountEditor
from cometify.accounts.follower import AccountFollower
from cometify.accounts.stores import make_store
from cometify.config.account_tables import Defaults
from cometify.config.accounts import Accounts
from cometify.config.settings import Settings
from cometify.runtime.reactor import Reactor


class FollowedAccounts(Service):
    """`accounts`: those of the file, which are joined by those of the store. `changed()`: called when the store's change.

    `parent`: the service that it starts and stops with.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        changed: Callable[[], None],
        reactor: Reactor,
        wall: Callable[[], float] = time.time,
        parent: MultiService | None = None,
    ) -> None:
        self._accounts = accounts
        self._defaults: Defaults = settings.defaults
        store = make_store(settings, reactor)
        self.follower = None if store is None else AccountFollower(store, accounts, settings.defaults, changed, reactor)
        self.editor = AccountEditor(accounts, self.follower, lambda: self._defaults, wall)
        if parent is not None:
            self.setServiceParent(parent)

    def startService(self) -> None:
        super().startService()
        if self.follower is not None:
            self.follower.start()

    def stopService(self) -> None:
        super().stopService()
        if self.follower is not None:
            self.follower.stop()

    def is_current(self) -> bool:
        """True if the accounts are those of the file alone, or the last look at the store could read it."""
        return self.follower is None or self.follower.is_up

    def replace(self, settings: Settings) -> None:
        """Replace the accounts of the file and the defaults by those of `settings`. The caller tells the listeners."""
        self._accounts.replace(settings.accounts)
        if settings.defaults != self._defaults:
            self._defaults = settings.defaults
            if self.follower is not None:
                self.follower.change_defaults(settings.defaults)
