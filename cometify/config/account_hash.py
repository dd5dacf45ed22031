"""A number that tells whether two nodes have the same account."""

import json
from hashlib import sha256

import attrs

from cometify.core.account import Account

_BYTES = 4
"""Bytes of the number. Few, because all operators see it: a secret that was made at random cannot be guessed from 32 bits."""


def account_hash(account: Account) -> int:
    """Return the number of an account. All its settings count, its secrets too."""
    text = json.dumps(attrs.asdict(account), sort_keys=True)
    return int.from_bytes(sha256(text.encode()).digest()[:_BYTES])
