"""A number that tells whether two nodes have the same account."""

import json
from hashlib import sha256

import attrs

from cometify.core.account import Account

_BYTES = 4
"""Bytes of the number. Few, because all operators see it: a secret that was made at random cannot be guessed from 32 bits."""
_DEFAULTS = sorted((name, field.default) for name, field in attrs.fields_dict(Account).items())


def account_hash(account: Account) -> int:
    """Return the number of an account. All its settings count, its secrets too.

    A setting that has its default does not count, so that a version with one setting more makes the same number.
    """
    values = [(name, getattr(account, name)) for name, default in _DEFAULTS if getattr(account, name) != default]
    return int.from_bytes(sha256(json.dumps(values).encode()).digest()[:_BYTES])
