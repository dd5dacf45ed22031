"""Rules that an account sets: the spelling of names, and for its pushes the private identifiers.

A push is checked by these rules after its sender is proven. Until then names are read by the widest rule (`identifier.ANY`) for
every account, because a stranger must get the same answer with and without an account of this API key.
"""

from collections.abc import Iterable

from cometify.core.account import Account
from cometify.core.identifier import PLAIN, Identifier
from cometify.core.payload import read_event
from cometify.core.private_names import check_secret
from cometify.core.push import Draft


def check_rules(account: Account, draft: Draft) -> None:
    """Check a push whose sender is proven. Raises `Refused`: invalid_identifier, invalid_parameter, must_be_secret.

    A draft needs no check if its identifier is plain, it has no event, and the account has no private identifiers.
    """
    if account.spelling is PLAIN:
        Identifier.read(draft.identifier.spelled)
        if draft.event is not None:
            read_event(draft.event)
    if account.private:
        check_secret(account.private, draft)


def check_names(account: Account, names: Iterable[str]) -> None:
    """Check the identifiers of a listener again, because its account was changed. Raises `Refused` (invalid_identifier)."""
    for name in sorted(names):
        Identifier.read(name, account.spelling)
