"""Disconnecting: the request of a back end that ends connections, and the memory of the subjects that it has revoked.

The **subject** of a token is its `sub`: the visitor to whom the back end gave it. A subject is revoked at a time. From
then on its tokens are refused if they were issued before that time (`iat`), or if they have no `iat`.

Both times are Unix seconds. `iat` is by the back end's clock, and the time of the revocation is by the wall clock of the node
that was asked. That number goes to all other nodes, so that their clocks make no difference. It is rounded up to the next
second, because `iat` has whole seconds: a token of the same second may be older than the revocation, and is refused.
"""

from collections import OrderedDict
from collections.abc import Mapping
from math import inf

import attrs

from cometify.core import errors
from cometify.core.listener_id import read_listener_id
from cometify.core.token import MAX_SUBJECT, is_subject

KEPT = 31 * 24 * 3600
"""Seconds for which a revocation is remembered. A token should have a shorter life."""
MOST = 10_000
"""Subjects of one account that are remembered. The oldest revocation is forgotten when there are more."""


@attrs.frozen
class Disconnect:
    """The connections that must end: those of a subject, or those of a listener id. One of the two is None."""

    subject: str | None = None
    listener: str | None = None


def read_disconnect(members: Mapping[str, object]) -> Disconnect:
    """Read the body of a request to disconnect. Raises `Refused`: missing_parameter, invalid_parameter."""
    unknown = members.keys() - {"subject", "listener"}
    if unknown or len(members) > 1:
        raise errors.Refused(
            errors.INVALID_PARAMETER, 'Send exactly one field: {"subject":"user_7"} or {"listener":"…"}.'
        )
    if not members:
        raise errors.Refused(
            errors.MISSING_PARAMETER, 'Say whom to disconnect: {"subject":"user_7"} or {"listener":"…"}.'
        )
    if "listener" in members:
        listener = read_listener_id(members["listener"])
        if listener is None:
            raise errors.Refused(errors.INVALID_PARAMETER, "listener must not be null: send the id of a listener.")
        return Disconnect(listener=listener)
    subject = members["subject"]
    if not is_subject(subject):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"subject must be a string of 1 to {MAX_SUBJECT} printable characters: the sub of the tokens.",
        )
    return Disconnect(subject=subject)


def revoked_from(now: float) -> int:
    """The time of a revocation that is made at `now`: the next full second."""
    return int(now) + 1


class Revocations:
    """The revoked subjects of one account."""

    def __init__(self) -> None:
        # The oldest first. A plain dict would search for its first key again each time one was deleted.
        self._at: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._at)

    def note(self, subject: str, at: int) -> bool:
        """Revoke a subject at a time. Returns False if this time or a later one was known already."""
        if at <= self._at.get(subject, 0):
            return False
        self._at[subject] = at
        self._at.move_to_end(subject)
        if len(self._at) > MOST:
            self._at.popitem(last=False)
        return True

    def at(self, subject: str) -> float:
        """The time of the revocation of a subject. Its tokens that were issued earlier are refused. -inf: none are."""
        return self._at.get(subject, -inf)

    def forget(self, now: float, most: int) -> int:
        """Forget revocations that are too old, at most `most`. Returns how many were forgotten. `now`: Unix seconds."""
        count = 0
        while count < most and self._at and next(iter(self._at.values())) <= now - KEPT:
            self._at.popitem(last=False)
            count += 1
        return count
