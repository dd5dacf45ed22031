"""The place of the accounts that can be changed while the server runs: `accounts = "redis"` or `accounts = "sqlite:///…"`."""

from pathlib import Path

import attrs

_SQLITE = "sqlite://"


@attrs.frozen
class AccountStoreURL:
    """A parsed value. `path`: the file of SQLite, or None for the Redis of the setting `redis`."""

    path: Path | None

    def __str__(self) -> str:
        return "redis" if self.path is None else f"{_SQLITE}{self.path}"


def read_account_store_url(value: object) -> AccountStoreURL:
    """Read the setting `accounts`. Raises `ValueError`."""
    if value == "redis":
        return AccountStoreURL(None)
    path = value.removeprefix(_SQLITE) if isinstance(value, str) and value.startswith(_SQLITE) else ""
    if not path.startswith("/") or path.endswith("/") or "?" in path or "#" in path:
        raise ValueError(
            'must be "redis", or a file of SQLite with its whole path, such as "sqlite:///var/lib/cometify/accounts.db" '
            "(the table of an account is called [[account]])"
        )
    return AccountStoreURL(Path(path))
