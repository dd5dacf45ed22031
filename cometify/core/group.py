"""A group: the identifiers that a listener asks for in one go, and its right to their secret pushes."""

from math import inf

import attrs

from cometify.core import errors, md5_signature
from cometify.core.account import Account
from cometify.core.identifier import Names
from cometify.core.token import read_token


@attrs.frozen
class Right:
    """Of which identifiers (lower case) a group has the secret pushes, and until when (Unix seconds; inf: for good)."""

    names: frozenset[str]
    until: float = inf


NO_RIGHT = Right(frozenset())


@attrs.frozen
class Group:
    """Identifiers, the key that was made for exactly this list or a token, and where to resume (a position, or None)."""

    names: Names
    secure_key: str | None = attrs.field(default=None, repr=False)
    position: int | None = None
    token: str | None = attrs.field(default=None, repr=False)

    @property
    def is_keyed(self) -> bool:
        """Whether it asks for secret pushes."""
        return self.secure_key is not None or self.token is not None

    @property
    def begins_now(self) -> bool:
        """Whether it asks for nothing but what is still to come."""
        return self.position is None and self.names.internal_ids is None

    def right(self, account: Account, now: float) -> Right:
        """Its right to secret pushes. `now`: the wall clock, in Unix seconds.

        A wrong secureKey gives none. Raises `Refused` (invalid_token) for a wrong token or one that has expired.
        """
        if self.token is not None:
            token = read_token(self.token, account.api_secrets, now)
            covered = frozenset([one.folded for one in self.names.identifiers if token.covers(one.folded)])
            return Right(covered, token.until) if covered else NO_RIGHT
        if self.secure_key is None or not md5_signature.same(
            self.secure_key,
            [md5_signature.secure_key(account.api_key, secret, self.names.spelled) for secret in account.api_secrets],
        ):
            return NO_RIGHT
        return Right(frozenset([one.folded for one in self.names.identifiers]))

    def right_left(self, account: Account, now: float) -> Right:
        """The right of one that has joined already: a token that is not right any more gives none."""
        try:
            return self.right(account, now)
        except errors.Refused:
            return NO_RIGHT
