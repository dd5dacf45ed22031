"""A push, before and after the engine has it."""

from collections.abc import Sequence
from hashlib import sha256

import attrs

from cometify.core.identifier import Identifier
from cometify.core.steps import Steps

MAX_TEXT = 65_536
"""The most bytes of UTF-8 in a text: "It can maximum be 64 kilobytes" (the seed)."""


@attrs.define
class Draft:
    """A push that was accepted and has no position yet."""

    identifier: Identifier
    text: str
    secret: bool
    push_id: int | None
    signature: bytes | None
    """The signature to remember, or None if it need not be remembered."""
    key: str | None = None
    """The Idempotency-Key."""
    listeners: int = 0
    """With a key: the number of listeners that the answer names, and names again when the push is repeated."""
    nonce: str | None = None
    """The Cometify-Nonce of the request, which no other request may have. In a batch only the first draft has it."""
    cost: int = 1
    """The pushes that this one counts for in `pushes_per_second`. The first of a batch counts for all of it."""
    batch: str = ""
    """A hash of the batch that this draft is the first of, if the batch has an Idempotency-Key."""
    data: str | None = None
    """The JSON that is sent instead of the text, as it is sent on. The text is empty then."""
    event: str | None = None
    """The name of the event that the push tells. Its case counts."""
    excluded: str | None = None
    """The listener id that the push is not sent to (the parameter `except`)."""
    uncovered: str | None = None
    """The name of a parameter that `secure` does not cover, if the push has one."""

    @property
    def size(self) -> int:
        """The bytes of the text, or of the JSON that is sent instead, in UTF-8."""
        whole = self.text if self.data is None else self.data
        return len(whole) if whole.isascii() else len(whole.encode())

    @property
    def fingerprint(self) -> bytes:
        """A hash of all that must be the same when the push is repeated with the same Idempotency-Key."""
        whole = f"{self.batch}{self.identifier.folded} {self.push_id} {self.secret:d} {self.text}"
        if self.data is not None or self.event is not None or self.excluded is not None:
            # No identifier has a plus sign, so no push that has a text alone has the same `whole`. An event and a listener id
            # have no spaces.
            whole = f"+{self.data is not None:d}{self.event or ''} {self.excluded or ''} {whole}{self.data or ''}"
        return sha256(whole.encode()).digest()


def bind(drafts: Sequence[Draft], key: str) -> None:
    """Bind the Idempotency-Key of a batch to the whole batch.

    The first draft has the key itself, so that a single push or another batch with the same key is refused. Each other draft
    gets a key of its own, which no client can send, so that a batch cut in half can be completed.

    The hash of the batch is kept with the first draft. Without it, a batch could be sent with the key of another batch that
    begins with the same push. The first draft would pass as already pushed, so that the nonce, which the first draft
    carries for the whole batch, would not be checked.
    """
    _bind(drafts, key, [draft.fingerprint for draft in drafts])


def bind_in_steps(drafts: Sequence[Draft], key: str) -> Steps[None]:
    """Do the same in steps, because the hashes of a long batch take 4 ms."""
    fingerprints = []
    for draft in drafts:
        fingerprints.append(draft.fingerprint)
        yield
    _bind(drafts, key, fingerprints)


def _bind(drafts: Sequence[Draft], key: str, fingerprints: Sequence[bytes]) -> None:
    if drafts:
        # The space keeps it apart from an identifier, because a single push can have the same key.
        drafts[0].batch = sha256(b"".join(fingerprints)).hexdigest() + " "
    for index, draft in enumerate(drafts):
        draft.key = f"{key}\n{index}" if index else key


# Not frozen: making a frozen instance takes three times as long, and there is one for each push.
@attrs.define
class Receipt:
    """The engine's answer: it has the push."""

    position: int
    duplicate: bool = False
    """True if it had the push before, because its Idempotency-Key was used already."""
    listeners: int = 0
    """Of a duplicate: the number of listeners that the first answer named."""


@attrs.define(eq=False)
class Push:
    """A push with its place in the order of the account."""

    identifier: str
    """The identifier in lower case."""
    push_id: int | None
    secret: bool
    position: int
    """Microseconds, strictly growing over all identifiers of the account."""
    frame: bytes
    """The JSON of the push frame, made once for all listeners."""
    deflated: bytes | None = None
    """The compressed WebSocket frame, or empty if that would be no smaller; None until it is needed first."""
    excluded: str | None = None
    """The listener id that it is not sent to. The frame does not tell it."""
