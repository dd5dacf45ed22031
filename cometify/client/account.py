"""The part that the three clients share and that needs no network: tokens and keys, made with the API secret."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

from . import signing
from .address import read_given_url, read_server
from .errors import INVALID_PARAMETER, CometifyError
from .tries import DEFAULT_TIMEOUT
from .webhooks import verified_events

LONGEST_TIMEOUT = 2_147_483.0
"""Seconds of a call at most, 24 days. Sockets take no infinite time. The libraries for other languages have the same bound."""

LONGEST_LIFE = 10_000_000_000
"""Seconds of a token at most, some 300 years. JSON has no infinity."""


class AccountClient:
    """A client of one account.

    - `server`: such as `https://push.example.org`.
    - `api_key`, `api_secret`: of the account.
    - `timeout`: the seconds that a call may take, with all its tries. More than 24 days, or infinity, count as 24 days.
    - `bearer`: send the API secret itself instead of signatures. It is sent over TLS and to this machine only.
    """

    def __init__(
        self, server: str, api_key: str, api_secret: str, *, timeout: float = DEFAULT_TIMEOUT, bearer: bool = False
    ) -> None:
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise CometifyError(INVALID_PARAMETER, "timeout must be a number of seconds above 0.")
        self._address = read_server(server, api_key, api_secret, bearer=bearer)
        self._timeout = min(timeout, LONGEST_TIMEOUT)

    @classmethod
    def from_url(cls, url: str | None = None, *, timeout: float = DEFAULT_TIMEOUT, bearer: bool = False) -> Self:
        """Make a client from a URL: `https://KEY:SECRET@push.example.org`. Without one it reads COMETIFY_URL.

        `?bearer=1` behind the URL does what `bearer` does. Raises `CometifyError` (invalid_url).
        """
        found = read_given_url(url, bearer=bearer)
        return cls(found.server, found.api_key, found.api_secret, timeout=timeout, bearer=found.bearer)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._address.api_key} at {self._address.server}>"

    @property
    def server(self) -> str:
        """The URL of the server, without the account."""
        return self._address.server

    @property
    def api_key(self) -> str:
        """The API key of the account. It is public, and a page needs it."""
        return self._address.api_key

    def token(self, identifiers: str | Iterable[str], seconds: float, sub: str | None = None) -> str:
        """Make a token. It gives a page the right to the secret pushes of these identifiers, for so many seconds.

        - `identifiers`: names, where a trailing * stands for a prefix. A string can have several, separated by commas.
        - `sub`: the visitor to whom you give it, so that `disconnect` can end the visitor's connections.

        Nothing is sent. Raises `CometifyError`.
        """
        now, until = _life(seconds)
        return signing.token(self._address.api_secret, identifiers, now, until, sub)

    def account_token(self, seconds: float) -> str:
        """Make a token for a person who may see the usage and the identifiers of the account, at /account of the server.

        It gives no right to listen or to push. Nothing is sent. Raises `CometifyError`.
        """
        return signing.account_token(self._address.api_secret, self._address.api_key, *_life(seconds))

    def secure_key(self, identifiers: str | Iterable[str]) -> str:
        """Make the secureKey of exactly this list: these names, in this order and spelling. Nothing is sent."""
        return signing.secure_key(self._address.api_key, self._address.api_secret, identifiers)

    def verify_webhook(
        self, path: str, headers: Mapping[str, str], body: bytes, *, other_secret: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the events of a webhook's request, if the server has signed it within five minutes.

        - `path`: of the request. A query behind it is ignored.
        - `headers`: of the request, whatever the case of their names.
        - `body`: its bytes, as they came.
        - `other_secret`: accepted too, while the API secret is being replaced.

        Drop each event whose `id` is not above the last one that you have handled. Raises `CometifyError`: not_authorized,
        whatever a stranger has sent. invalid_parameter if an argument is of another type, such as a body that was decoded, or
        if `other_secret` is empty.
        """
        secrets = [self._address.api_secret, *([] if other_secret is None else [other_secret])]
        return verified_events(secrets, path, headers, body, time.time())


def _life(seconds: float) -> tuple[int, int]:
    """Return now and the end of a token, in Unix seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= LONGEST_LIFE:
        raise CometifyError(INVALID_PARAMETER, "seconds must be a number from 1 to 10,000,000,000.")
    now = int(time.time())
    return now, now + int(seconds)
