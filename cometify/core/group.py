"""A group: the identifiers that a listener asks for in one go, and its right to their secret pushes."""

from math import inf

import attrs

from cometify.core import errors, md5_signature
from cometify.core.account import Account
from cometify.core.identifier import Names
from cometify.core.private_names import is_private
from cometify.core.token import read_token

Subject = tuple[str, float]
"""The subject of a token, and the time at which the token was issued (Unix seconds; -inf: unknown)."""


@attrs.frozen
class Right:
    """The right of a group to secret pushes."""

    names: frozenset[str]
    """The identifiers (lower case) whose secret pushes it gets."""
    until: float = inf
    """The end of the right, in Unix seconds; inf: it does not end."""
    subject: Subject | None = None
    """The subject of the token, if it names one."""
    left_out: frozenset[str] = frozenset()
    """The private identifiers (lower case) that it does not cover, or all of a refused group. The group joins without them."""
    refusal: str = attrs.field(default="", eq=False)
    """The detail of the refusal of a token that has given the right once, for the warning."""


NO_RIGHT = Right(frozenset())


@attrs.frozen
class Group:
    """The unit of joining: a list of identifiers, and at most one of the two proofs of a right."""

    names: Names
    secure_key: str | None = attrs.field(default=None, repr=False)
    """The secureKey, which signs exactly this list as it was spelled."""
    position: int | None = None
    """The position to resume at."""
    token: str | None = attrs.field(default=None, repr=False)
    """A JWT that names identifiers or prefixes."""
    is_refused: bool = False
    """True if the groups before it leave too little room for it. It joins nothing, and all others join."""

    @property
    def is_keyed(self) -> bool:
        """True if the group asks for secret pushes."""
        return self.secure_key is not None or self.token is not None

    @property
    def begins_now(self) -> bool:
        """True if the group asks for future pushes only."""
        return self.position is None and self.names.internal_ids is None

    def right(self, account: Account, now: float) -> Right:
        """Check the proof of the right to secret pushes and to private identifiers. `now`: the wall clock, in Unix seconds.

        A wrong secureKey gives no right, and does not cost the public pushes. Raises `Refused` (invalid_token) for a wrong
        or expired token, because its owner can fetch a new one.
        """
        if self.is_refused:
            return Right(frozenset(), left_out=frozenset(self.names.folded))
        right = self._proven(account, now)
        return self._without_private(right, account) if account.private else right

    def _without_private(self, right: Right, account: Account) -> Right:
        private = [name for name in self.names.folded if name not in right.names and is_private(account.private, name)]
        return attrs.evolve(right, left_out=frozenset(private)) if private else right

    def _proven(self, account: Account, now: float) -> Right:
        if self.token is not None:
            token = read_token(self.token, account.api_secrets, now, account.spelling)
            covered = frozenset([one.folded for one in self.names.identifiers if token.covers(one.folded)])
            subject = None if token.subject is None else (token.subject, token.issued)
            return Right(covered, token.until if covered else inf, subject)
        if self.secure_key is None or not md5_signature.same(
            self.secure_key,
            [md5_signature.secure_key(account.api_key, secret, self.names.spelled) for secret in account.api_secrets],
        ):
            return NO_RIGHT
        return Right(frozenset([one.folded for one in self.names.identifiers]))

    def right_left(self, account: Account, now: float) -> Right:
        """Return the right of a group that has joined already. A token that is no longer valid gives none."""
        try:
            return self.right(account, now)
        except errors.Refused as refused:
            return self._without_private(Right(frozenset(), refusal=refused.detail), account)

    def wanted(self, right: Right) -> tuple[str, ...]:
        """The identifiers (lower case) that it joins with this right."""
        folded = self.names.folded
        return tuple([name for name in folded if name not in right.left_out]) if right.left_out else folded
