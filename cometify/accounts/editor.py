"""Changes accounts of the store for the admin endpoint. Of two changes at one moment, the second begins again."""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from cometify.accounts import edits
from cometify.accounts.follower import AccountFollower
from cometify.accounts.record import Record
from cometify.accounts.store import StoreError
from cometify.config.account_tables import Defaults
from cometify.config.accounts import Accounts
from cometify.config.checks import doubt_of_secrets
from cometify.core.errors import ACCOUNT_CONFLICT, ENGINE_UNAVAILABLE, NOT_FOUND, Refused

log = Logger()
T = TypeVar("T")
Edit = Callable[[Record | None], tuple[Record | None, T]]
"""Returns the record after a change, None if the account goes, and what the caller wants to know of the change."""

MOST_TRIES = 5
"""Changes by others, each right before this one, after which it is given up."""


class AccountEditor:
    """`follower`: None if there is no store. `defaults()`: the table `[defaults]` as it is now. `wall`: Unix seconds."""

    def __init__(
        self,
        accounts: Accounts,
        follower: AccountFollower | None,
        defaults: Callable[[], Defaults],
        wall: Callable[[], float],
    ) -> None:
        self.accounts = accounts
        self._follower = follower
        self._defaults = defaults
        self._wall = wall

    def record(self, api_key: str) -> Record | None:
        """Return the record of an account, or None if the store has none, or one that cannot be read."""
        text = None if self._follower is None else self._follower.record(api_key)
        try:
            return None if text is None else Record.read(text)
        except (ValueError, KeyError, TypeError):
            return None

    def put(
        self, api_key: str, body: dict[str, object], if_match: str | None, *, must_be_new: bool, by: str
    ) -> Deferred[tuple[Record | None, str | None]]:
        """Make or replace an account. The result is its record, and its secret if one was made.

        `if_match`: the state that the caller has seen (`Record.tag`), None: any.
        """
        edits.check_key(api_key)

        def edit(before: Record | None) -> tuple[Record, str | None]:
            if must_be_new and before is not None:
                raise Refused(
                    ACCOUNT_CONFLICT, f"The account {api_key} exists already: change it, or choose another key."
                )
            if if_match is not None and (before is None or before.tag != if_match):
                raise _changed_meanwhile(api_key)
            return edits.put(api_key, before, body, self._defaults(), self._now())

        return self._edit(api_key, edit, "was set", by)

    def rotate(self, api_key: str, by: str) -> Deferred[tuple[Record | None, str | None]]:
        """Add a second live secret. The result has it."""
        return self._edit(
            api_key, lambda old: edits.rotate(_there(api_key, old), self._now()), "got a second secret", by
        )

    def retire(self, api_key: str, which: str, by: str) -> Deferred[tuple[Record | None, str | None]]:
        """Remove one of two live secrets, the "old" one or the "new" one."""
        return self._edit(
            api_key,
            lambda old: (edits.retire(_there(api_key, old), which, self._now()), None),
            f"has its {which} secret no longer",
            by,
        )

    def suspend(self, api_key: str, by: str, *, is_suspended: bool) -> Deferred[tuple[Record | None, str | None]]:
        """Suspend an account, or let it go on."""
        return self._edit(
            api_key,
            lambda old: (edits.suspend(_there(api_key, old), self._now(), is_suspended=is_suspended), None),
            "was suspended" if is_suspended else "goes on",
            by,
        )

    def remove(self, api_key: str, by: str) -> Deferred[tuple[Record | None, str | None]]:
        """Remove an account."""

        def edit(before: Record | None) -> tuple[None, None]:
            _there(api_key, before)
            return None, None

        return self._edit(api_key, edit, "was removed", by)

    def _now(self) -> int:
        return int(self._wall())

    def _edit(self, api_key: str, edit: Edit[T], done: str, by: str) -> Deferred[tuple[Record | None, T]]:
        if self.accounts.is_of_file(api_key):
            raise Refused(
                ACCOUNT_CONFLICT,
                f"The account {api_key} is one of the configuration file: change it there, and reload each node.",
            )
        if self._follower is None:
            raise Refused(
                ACCOUNT_CONFLICT,
                "This server has the accounts of its configuration file alone: to change accounts here, set accounts = "
                '"redis" or accounts = "sqlite:///var/lib/cometify/accounts.db", and restart.',
            )
        return Deferred.fromCoroutine(self._try(self._follower, api_key, edit, done, by))

    async def _try(
        self, follower: AccountFollower, api_key: str, edit: Edit[T], done: str, by: str
    ) -> tuple[Record | None, T]:
        try:
            for _ in range(MOST_TRIES):
                await follower.look_now()
                text = follower.record(api_key)
                before = None if text is None else _read(api_key, text)
                after, told = edit(before)
                if await follower.store.change(api_key, text, None if after is None else after.text()):
                    log.info("Account {api_key} {done}, by {by}", api_key=api_key, done=done, by=by)
                    if after is not None and (before is None or after.api_secrets != before.api_secrets):
                        _warn_of_short(api_key, after)
                    await follower.look_now()
                    return after, told
        except StoreError as error:
            raise Refused(
                ENGINE_UNAVAILABLE,
                f"The accounts cannot be changed now: {error}. The change may have been made: look at it.",
            ) from None
        raise _changed_meanwhile(api_key)


def _read(api_key: str, text: str) -> Record:
    try:
        return Record.read(text)
    except (ValueError, KeyError, TypeError):
        raise Refused(
            ACCOUNT_CONFLICT, f"The record of account {api_key} in the store cannot be read: mend or delete it there."
        ) from None


def _warn_of_short(api_key: str, record: Record) -> None:
    doubt = doubt_of_secrets(api_key, record.api_secrets)
    if doubt is not None:
        log.warn("{doubt}", doubt=doubt)  # noqa: G010 - Twisted's warn is not deprecated.


def _there(api_key: str, record: Record | None) -> Record:
    if record is None:
        raise Refused(NOT_FOUND, f"There is no account {api_key}: GET /accounts lists them.")
    return record


def _changed_meanwhile(api_key: str) -> Refused:
    return Refused(ACCOUNT_CONFLICT, f"The account {api_key} was changed meanwhile: look at it, and change it again.")
