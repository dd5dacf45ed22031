"""A record: the table of one kept account, with its secrets."""

import json
from collections.abc import Mapping
from typing import Self

import attrs

from cometify.config.account_tables import Defaults, read_account
from cometify.config.keys import ACCOUNT, Table
from cometify.core.account import Account


@attrs.frozen
class Record:
    """`settings`: the account's own settings, as JSON has them. `api_secrets`: the newest first.

    `created`, `changed`: Unix seconds. `revision`: grows with each change. `nonce`: a random text, because an account can be
    removed and made again within a second. Records of older versions have none.
    """

    settings: Mapping[str, object]
    api_secrets: tuple[str, ...] = attrs.field(repr=False)
    is_suspended: bool
    created: int
    changed: int
    revision: int = 1
    nonce: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the text of a record. Raises `ValueError`, `KeyError` or `TypeError` for another text."""
        try:
            found = json.loads(text)
            return cls(
                dict(found["settings"]),
                tuple(map(str, found["api_secrets"])),
                bool(found["suspended"]),
                int(found["created"]),
                int(found["changed"]),
                int(found["revision"]),
                str(found.get("nonce", "")),
            )
        except (RecursionError, OverflowError) as error:  # `[[[[…`, and 1e400, which Python reads as infinity
            raise ValueError(str(error)) from error

    def text(self) -> str:
        """Return the text that `read` reads."""
        found = {
            "settings": dict(self.settings),
            "api_secrets": self.api_secrets,
            "suspended": self.is_suspended,
            "created": self.created,
            "changed": self.changed,
            "revision": self.revision,
            "nonce": self.nonce,
        }
        return json.dumps(found, sort_keys=True, separators=(",", ":"))

    @property
    def tag(self) -> str:
        """A name of this state of the account, for If-Match."""
        return f"{self.created}-{self.nonce}-{self.revision}" if self.nonce else f"{self.created}-{self.revision}"

    def account(self, api_key: str, defaults: Defaults) -> Account:
        """Make the account. Settings that this version does not know are left out: a newer node has written them.

        Raises `SettingsError`.
        """
        known = {name: value for name, value in self.settings.items() if name in ACCOUNT}
        return read_account(self._table(api_key, known), defaults, "")

    def checked_account(self, api_key: str, defaults: Defaults) -> Account:
        """Make the account, and refuse settings that are not known. Raises `SettingsError`."""
        return read_account(self._table(api_key, self.settings), defaults, "")

    def _table(self, api_key: str, settings: Mapping[str, object]) -> Table:
        own: Table = {"api_key": api_key, "api_secrets": list(self.api_secrets), "suspended": self.is_suspended}
        return {**settings, **own}
