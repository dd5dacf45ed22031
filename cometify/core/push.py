"""A push before and after the engine has it."""

from collections.abc import Sequence
from hashlib import sha256

import attrs

from cometify.core.identifier import Identifier

MAX_TEXT = 65_536
"""The most bytes of UTF-8 in a text: "It can maximum be 64 kilobytes" (the seed)."""


@attrs.define
class Draft:
    """An accepted push that has no position yet.

    `signature` is what was signed with, to be remembered; None: nothing is. `key`: its Idempotency-Key, if it has one;
    then `listeners` is what the answer will say, and will say again. `nonce`: of the request that it came with, which is to
    be the only one with it; of a batch only the first draft has it. `batch`: which batch it is the first of, if that has
    an Idempotency-Key.
    """

    identifier: Identifier
    text: str
    secret: bool
    push_id: int | None
    signature: bytes | None
    key: str | None = None
    listeners: int = 0
    nonce: str | None = None
    batch: str = ""

    @property
    def fingerprint(self) -> str:
        """What must be the same when it is pushed again with the same Idempotency-Key."""
        whole = f"{self.batch}{self.identifier.folded} {self.push_id} {self.secret:d} {self.text}"
        return sha256(whole.encode()).hexdigest()


def bind(drafts: Sequence[Draft]) -> None:
    """Have the key of a batch be for this batch alone. With that of another, which begins alike, the first would pass for
    one that was pushed, and its nonce, which is that of all of them, would not be looked at.
    """
    drafts[0].batch = sha256("".join([draft.fingerprint for draft in drafts]).encode()).hexdigest()


@attrs.define  # not frozen: making one that is takes three times as long, and there is one for each push
class Receipt:
    """The engine has the push. `duplicate`: it has had it before, and `listeners` is what was answered then."""

    position: int
    duplicate: bool = False
    listeners: int = 0


@attrs.define(eq=False)
class Push:
    """A push with its place in the order of the account.

    `position`: microseconds, strictly growing over all identifiers of the account. `frame`: its JSON as bytes, made
    once for all who get it. `deflated`: its compressed WebSocket frame, made when it is asked for first; empty if that
    would be no smaller.
    """

    identifier: str
    push_id: int | None
    secret: bool
    position: int
    frame: bytes
    deflated: bytes | None = None
