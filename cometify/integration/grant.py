"""Rights of visitors to secret pushes, and the answer with which a page gets its token."""

from collections.abc import Iterable
from dataclasses import dataclass

from cometify.client.account import AccountClient

SECONDS = 600
"""The life of a token. The browser client asks for another one in time."""
NO_STORE = "no-store"
"""The value of Cache-Control for an answer with a token, because a cache would give it to another visitor."""
REFUSED = 403
"""The status for visitors without a session. The browser client asks again later, and hears public pushes until then."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of a visitor to secret pushes.

    - `identifiers`: names, where a trailing * stands for a prefix. Empty: the visitor may hear only public pushes.
    - `sub`: the visitor, so that `disconnect` can end the visitor's connections.
    - `seconds`: the life of the token.
    """

    identifiers: str | Iterable[str]
    sub: str | None = None
    seconds: float = SECONDS


def token_answer(client: AccountClient, grant: Grant | None) -> tuple[int, dict[str, str | None]]:
    """Return the status and the JSON of the answer. `grant`: None: nobody is logged in. Raises `CometifyError`."""
    if grant is None:
        return REFUSED, {"code": "not_authorized", "detail": "Log in, and then ask for a token again."}
    if not isinstance(grant, Grant):
        raise TypeError(
            f"Return a Grant, or None for a visitor who is not logged in. This is a {type(grant).__name__}."
        )
    names = grant.identifiers.split(",") if isinstance(grant.identifiers, str) else list(grant.identifiers)
    token = client.token(names, grant.seconds, grant.sub) if any(names) else None
    return 200, {"token": token}
