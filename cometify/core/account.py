"""An account and all its limits, each with its unit."""

import attrs


@attrs.frozen
class Account:
    """One tenant. One or two API secrets are live: two while one is being replaced."""

    api_key: str
    api_secrets: tuple[str, ...] = attrs.field(repr=False)
    listeners_per_ip: int = 30
    """Listeners at once from one address: "a maximum of 30 listeners from the same IP" (the seed)."""
    buffer_pushes: int = 1_000
    """Pushes kept for one identifier."""
    buffer_bytes: int = 4 * 2**20
    """Bytes kept for one identifier."""
    keep_bytes: int = 256 * 2**20
    """Bytes kept for the account in all, the oldest going first."""
    signature_memory: int = 1_000_000
    """Signatures remembered at once; 0 turns the memory off."""
    origins: tuple[str, ...] | None = None
    """The web origins whose pages may listen; None: any."""
    signatures: str = "any"
    """How pushes are signed: "v2" (with HMAC, nothing else), or "any" (with `secure` too)."""


STRANGER = Account("", ("nobody's secret", "nobody's other secret"))
"""Signs for API keys that do not exist, so that their refusal costs what a wrong signature costs."""
