"""An account and its limits, each with its unit."""

import attrs

from cometify.core.identifier import SPELLINGS, Spelling

DEFAULT_BURST = 100
"""The lowest default of `push_burst`: the most pushes of a batch."""


@attrs.frozen
class Account:
    """One tenant. One or two API secrets are accepted: two while one is being replaced."""

    api_key: str
    api_secrets: tuple[str, ...] = attrs.field(repr=False)
    listeners_per_ip: int = 30
    """The most listeners at once from one address: "a maximum of 30 listeners from the same IP" (the seed)."""
    buffer_pushes: int = 1_000
    """The most public pushes kept for one identifier, and the most secret ones."""
    buffer_bytes: int = 4 * 2**20
    """The most bytes of public frames kept for one identifier, and the most bytes of secret ones."""
    keep_bytes: int = 256 * 2**20
    """The most bytes of public frames kept for the account, and the most bytes of secret ones. The oldest go first."""
    signature_memory: int = 1_000_000
    """The most signatures remembered at once; 0: none are."""
    request_memory: int = 1_000_000
    """The most nonces remembered at once, and the most answers to requests with an Idempotency-Key. While so many are there, a
    request that would need another one is refused."""
    origins: tuple[str, ...] | None = None
    """The web origins whose pages may listen; None: any."""
    signatures: str = "any"
    """The proofs of a publisher that are accepted: "v2" (HMAC alone), "strong" (the API secret itself too), or "any" (`secure`
    too)."""
    pushes_per_second: int | None = None
    """The most pushes a second, over all nodes; None: as many as the server can take."""
    push_burst: int | None = None
    """The most pushes at once, after a time with fewer; None: see `burst`."""
    listeners: int | None = None
    """The most listeners at once, over all nodes and addresses; None: only `listeners_per_ip` bounds them."""
    private: tuple[str, ...] = ()
    """Private identifiers, in lower case; a trailing * stands for a prefix."""
    identifiers: str = "plain"
    """The spelling of identifiers that is allowed: "plain" (the seed's), or "extended" (longer ones, with . and - too)."""
    edge: bool = False
    """True if a shared cache may answer polls for public pushes: they are the same for everybody who sends them."""
    suspended: bool = False
    """True if the account may do nothing for now: its pushes and listeners are refused, and its data stay."""

    webhook: str | None = attrs.field(default=None, repr=False)
    """The URL that is told which identifiers are listened to, and what is refused. Its query may hold a secret."""

    @property
    def spelling(self) -> Spelling:
        """The rule for the spelling of identifiers."""
        return SPELLINGS[self.identifiers]

    @property
    def burst(self) -> int:
        """The most pushes at once, if `pushes_per_second` bounds them. By default a whole batch fits."""
        return self.push_burst or max(self.pushes_per_second or 0, DEFAULT_BURST)


STRANGER = Account("", ("nobody's secret", "nobody's other secret"))
"""Stands in for API keys that do not exist, so that refusing one takes as long as refusing a wrong signature."""
