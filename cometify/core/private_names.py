"""Private identifiers: an account names them, each whole or by a prefix.

A push to a private identifier must be secret, and only a group with a right to it may join it.
"""

from collections.abc import Sequence
from functools import lru_cache

from cometify.core.errors import MUST_BE_SECRET, Refused
from cometify.core.push import Draft


def split(names: Sequence[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Split into the identifiers that are named whole, and the prefixes, both in lower case."""
    folded = [name.lower() for name in names]
    return (
        frozenset([name for name in folded if not name.endswith("*")]),
        tuple([name[:-1] for name in folded if name.endswith("*")]),
    )


_split = lru_cache(1024)(split)


def is_private(private: tuple[str, ...], folded: str) -> bool:
    """Return True if an identifier (in lower case) is one of an account's private ones."""
    names, prefixes = _split(private)
    return folded in names or folded.startswith(prefixes)


def check_secret(private: tuple[str, ...], draft: Draft) -> None:
    """Check that a push to a private identifier is secret. Raises `Refused` (must_be_secret)."""
    if not draft.secret and is_private(private, draft.identifier.folded):
        raise Refused(
            MUST_BE_SECRET,
            f"{draft.identifier.spelled} is private, and a push with secret 0 would reach anybody: send secret 1, or take it "
            "out of the account's setting private.",
        )
