"""The changes of a record. Each is a function of the record before and returns the one after, or refuses.

The rules of values are those of the configuration file.
"""

import secrets
from collections.abc import Mapping

import attrs

from cometify.accounts.record import Record
from cometify.config import readers
from cometify.config.account_tables import Defaults
from cometify.config.keys import SECRET_SOURCES
from cometify.config.settings import SettingsError
from cometify.core.errors import ACCOUNT_CONFLICT, INVALID_PARAMETER, Refused
from cometify.core.webhook_url import meant

_NOT_SETTINGS = ("api_key", "api_secret", "api_secrets", "suspended")
"""Names in a body that do not become settings of the record."""


def check_key(api_key: str) -> None:
    """Check the API key of an account that may be new. Raises `Refused`."""
    try:
        readers.api_key(api_key)
    except ValueError as error:
        raise Refused(INVALID_PARAMETER, f"api_key: {error}.") from None


def put(
    api_key: str, before: Record | None, body: Mapping[str, object], defaults: Defaults, now: int
) -> tuple[Record, str | None]:
    """Make or replace an account from a body with the keys of the configuration file.

    Secrets that the body does not name stay, and so do `suspended` and a webhook that is sent back as it was shown. A new
    account without a secret gets one, which is returned too. Raises `Refused`.
    """
    for name in SECRET_SOURCES[2:]:
        if name in body:
            raise Refused(
                INVALID_PARAMETER, f"{name}: names a place on the server; send the secret itself: api_secret."
            )
    if body.get("api_key", api_key) != api_key:
        raise Refused(INVALID_PARAMETER, f"api_key: differs from the one of the path, {api_key}; leave it out.")
    given = _given_secrets(body)
    made = secrets.token_urlsafe(24) if before is None and given is None else None
    settings = {name: value for name, value in body.items() if name not in _NOT_SETTINGS}
    if before is not None and "webhook" in settings:
        settings["webhook"] = meant(settings["webhook"], before.settings.get("webhook"))
    record = Record(
        settings,
        given or (before.api_secrets if before is not None else (str(made),)),
        _given_state(body, before),
        now if before is None else before.created,
        now,
        1 if before is None else before.revision + 1,
        secrets.token_hex(6) if before is None else before.nonce,
    )
    try:
        record.checked_account(api_key, defaults)
    except SettingsError as error:
        raise Refused(INVALID_PARAMETER, str(error)) from None
    return record, made


def _given_secrets(body: Mapping[str, object]) -> tuple[str, ...] | None:
    given = [name for name in ("api_secret", "api_secrets") if name in body]
    if not given:
        return None
    if len(given) > 1:
        raise Refused(INVALID_PARAMETER, "api_secret: give api_secret or api_secrets, and not both.")
    try:
        if given == ["api_secret"]:
            return (readers.secret(body["api_secret"]),)
        return readers.secrets(body["api_secrets"])
    except ValueError as error:
        raise Refused(INVALID_PARAMETER, f"{given[0]}: {error}.") from None


def _given_state(body: Mapping[str, object], before: Record | None) -> bool:
    try:
        return readers.truth(body.get("suspended", before is not None and before.is_suspended))
    except ValueError as error:
        raise Refused(INVALID_PARAMETER, f"suspended: {error}.") from None


def rotate(record: Record, now: int) -> tuple[Record, str]:
    """Add a second live secret, which becomes the first one. Returns it too. Raises `Refused`."""
    if len(record.api_secrets) > 1:
        raise Refused(
            ACCOUNT_CONFLICT, "Two secrets are live already: retire the old one first, when nobody uses it any longer."
        )
    made = secrets.token_urlsafe(24)
    return attrs.evolve(_touched(record, now), api_secrets=(made, *record.api_secrets)), made


def retire(record: Record, which: str, now: int) -> Record:
    """Remove one of two live secrets: the "old" one, or the "new" one if nobody got it. Raises `Refused`."""
    if len(record.api_secrets) < 2:
        raise Refused(ACCOUNT_CONFLICT, "Only one secret is live, and an account needs one: rotate first.")
    newest, oldest = record.api_secrets
    return attrs.evolve(_touched(record, now), api_secrets=(newest if which == "old" else oldest,))


def suspend(record: Record, now: int, *, is_suspended: bool) -> Record:
    """Suspend the account, or let it go on."""
    if record.is_suspended is is_suspended:
        return record
    return attrs.evolve(_touched(record, now), is_suspended=is_suspended)


def _touched(record: Record, now: int) -> Record:
    return attrs.evolve(record, changed=now, revision=record.revision + 1)
