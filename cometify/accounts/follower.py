"""Brings the accounts of a store into one process, and follows their changes."""

from collections.abc import Callable, Mapping

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from cometify.accounts.record import Record
from cometify.accounts.store import Changes, IAccountStore, StoreError, Version
from cometify.config.account_tables import Defaults
from cometify.config.accounts import Accounts
from cometify.config.difference import Difference, named
from cometify.config.settings import SettingsError
from cometify.core.account import Account
from cometify.runtime.periodic_task import PeriodicTask
from cometify.runtime.reactor import Reactor

log = Logger()


class AccountFollower:
    """`changed()`: called when `accounts` have changed. `defaults`: settings of accounts that have none of their own.

    `is_up`: the last look at the store could read it.
    """

    def __init__(
        self,
        store: IAccountStore,
        accounts: Accounts,
        defaults: Defaults,
        changed: Callable[[], None],
        reactor: Reactor,
    ) -> None:
        self.store = store
        self.is_up = False
        self._accounts = accounts
        self._defaults = defaults
        self._changed = changed
        self._version: Version | None = None
        self._records: dict[str, str] = {}
        self._kept: dict[str, Account] = {}
        self._looking: Deferred[None] | None = None
        self._must_look_again = False
        self._why: str | None = None
        self._is_stopped = False
        self._task = PeriodicTask("looking for changed accounts", store.look_every, self.look, reactor)

    def start(self) -> None:
        """Read the accounts, and follow their changes from now on."""
        try:
            changes = self.store.read_before_serving()
            if changes is not None:
                self._apply(changes)
        except StoreError as error:
            self._is_down(str(error))
        self.store.start(self.look)
        self._task.start()
        self.look()

    def stop(self) -> None:
        """Follow no further changes."""
        self._is_stopped = True
        self._task.stop()
        self.store.stop()

    def record(self, api_key: str) -> str | None:
        """Return the text of an account's record as it was last read, or None if there is none."""
        return self._records.get(api_key)

    def records(self) -> Mapping[str, str]:
        """Return the texts of all records as they were last read."""
        return self._records

    # Looking.

    def look(self) -> None:
        """Look for changes. A look that is under way is followed by another one, because it may have missed the newest."""
        if self._looking is not None:
            self._must_look_again = True
            return
        self._must_look_again = False
        self._looking = Deferred()
        read = self.store.read(self._version)
        read.addCallback(self._apply).addErrback(self._failed).addBoth(lambda _none: self._looked())

    def _looked(self) -> None:
        looking, self._looking = self._looking, None
        if self._must_look_again and not self._is_stopped:
            self.look()
        assert looking is not None
        looking.callback(None)

    def look_now(self) -> Deferred[None]:
        """Look for changes. Fires when a look that has begun from now on is done. Fails with `StoreError`."""
        self.look()
        must_wait_for_the_next = self._must_look_again
        looking = self._looking
        if looking is None:
            return self._outcome()
        done: Deferred[None] = Deferred()

        def looked(_none: None) -> None:
            if must_wait_for_the_next and self._looking is not None:
                self._looking.addCallback(lambda _none: done.callback(None))
            else:
                done.callback(None)

        looking.addCallback(looked)
        return done.addCallback(lambda _none: self._outcome())

    def _outcome(self) -> Deferred[None]:
        return defer.succeed(None) if self._why is None else defer.fail(StoreError(self._why))

    def _failed(self, failure: Failure) -> None:
        if self._is_stopped:
            return
        if failure.check(StoreError):
            self._is_down(str(failure.value))
        elif self._is_down("a record could not be handled, because of a fault in Cometify"):
            log.failure("Accounts cannot be followed", failure)

    def _is_down(self, why: str) -> bool:
        """Note that the store cannot be read. A reason is logged once, until the next one. Returns True if it was logged."""
        self.is_up = False
        is_news = why != self._why
        if is_news:
            self._why = why
            log.error("Accounts cannot be read: {why}. Those that are known stay. Trying again.", why=why)
        return is_news

    def _was_read(self) -> None:
        if self._why is not None:
            log.info("Accounts are read again: {count} are kept", count=len(self._kept))
        self._why = None
        self.is_up = True

    # Applying.

    def _apply(self, changes: Changes | None) -> None:
        if self._is_stopped:
            return
        if changes is None:
            self._was_read()
            return
        if changes.has_lost:
            gone = [key for key in self._records if changes.records.get(key) is None]
            difference = Difference((), {}, tuple(gone), len(self._records))
            if difference.drops_too_many:
                self._is_down(
                    f"the store is another one, or has lost changes, and lacks {len(gone)} of {len(self._records)} accounts, "
                    f"more than a tenth: {named(gone)}. Restore it, or restart this server to take it as it is"
                )
                return
        self._take(changes)
        self._version = changes.version
        self._was_read()

    def _take(self, changes: Changes) -> None:
        texts = {key: text for key, text in changes.records.items() if text is not None}
        records = texts if changes.is_whole else {**self._records, **texts}
        if not changes.is_whole:
            for key in changes.records.keys() - texts.keys():
                records.pop(key, None)
        kept = {}
        for key, text in records.items():
            old = self._kept.get(key)
            account = old if text == self._records.get(key) else self._account(key, text, old)
            if account is not None:
                kept[key] = account
        self._records = records
        self._give(kept)

    def _account(self, api_key: str, text: str, old: Account | None) -> Account | None:
        """Make the account of a record. One that cannot be read costs no other account, and stays what it was."""
        try:
            return Record.read(text).account(api_key, self._defaults)
        except SettingsError as error:
            reason = str(error)
        except (ValueError, KeyError, TypeError):
            reason = "it is not a record."
        log.error(
            "The record of account {api_key} cannot be used: {reason} {effect}",
            api_key=api_key if api_key.isprintable() else ascii(api_key),  # another program can have written any text
            reason=reason,
            effect="The account is left out." if old is None else "The account stays what it was.",
        )
        return old

    def _give(self, kept: dict[str, Account]) -> None:
        is_news = kept != self._kept or not self._accounts.is_complete
        self._kept = kept
        if is_news:
            self._accounts.replace_kept(kept)
            self._changed()

    def change_defaults(self, defaults: Defaults) -> None:
        """Make all accounts again, with other defaults. The caller tells the listeners."""
        self._defaults = defaults
        kept = {}
        for key, text in self._records.items():
            account = self._account(key, text, self._kept.get(key))
            if account is not None:
                kept[key] = account
        self._kept = kept
        if self._accounts.is_complete:
            self._accounts.replace_kept(kept)
