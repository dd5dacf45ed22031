"""A push before and after the engine has it."""

import attrs

from cometify.core.identifier import Identifier


@attrs.define
class Draft:
    """An accepted push that has no position yet. `signature` is what was signed with, to be remembered; None: nothing is.

    `nonce`: of the request that it came with, which is to be the only one with it; of a batch only the first draft has it.
    """

    identifier: Identifier
    text: str
    secret: bool
    push_id: int | None
    signature: bytes | None
    nonce: str | None = None


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
