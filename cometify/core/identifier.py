"""Identifiers, and the three forms in which a list of them is asked for."""

import re
from functools import lru_cache

import attrs

from cometify.core import errors
from cometify.core.integer import MAX_ID, read_integer

MAX_IDENTIFIERS = 100
"""The most identifiers that one listener may name, over all its groups."""

LONGEST = 60
"""Characters."""
_FORM = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,59}")


@attrs.frozen
class Identifier:
    """The channel that browsers listen on and the server pushes to.

    `spelled` is what was sent, and what signatures are made of; `folded` is what is routed by. "An identifier is
    NOT case sensitive" (the seed): two spellings of one identifier are equal.
    """

    spelled: str = attrs.field(eq=False)
    folded: str

    @classmethod
    def read(cls, value: object) -> "Identifier":
        """Raises `Refused` (invalid_identifier) for anything that is not an identifier."""
        # What is longer is not remembered, or strangers would fill the memory with it.
        identifier = _read(value) if isinstance(value, str) and len(value) <= LONGEST else None
        if identifier is None:
            raise errors.Refused(
                errors.INVALID_IDENTIFIER,
                f"{_shown(value)} is not an identifier: write 1 to 60 of a-z, A-Z, 0-9 and underscore, a letter first.",
            )
        return identifier


@lru_cache(4096)
def _read(spelled: str) -> Identifier | None:
    # The same few come with every push, and comparing what is the same object takes no time.
    return Identifier(spelled, spelled.lower()) if _FORM.fullmatch(spelled) else None


@attrs.frozen
class Names:
    """One list of identifiers as it was asked for: in the order sent, all plain or all with an internal id."""

    identifiers: tuple[Identifier, ...]
    internal_ids: tuple[int, ...] | None = None
    folded: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "folded", tuple([identifier.folded for identifier in self.identifiers]))

    @property
    def spelled(self) -> str:
        """The names, comma separated, as a secureKey signs them: exactly as sent, without ids."""
        return ",".join([identifier.spelled for identifier in self.identifiers])


def names_from_query(text: str) -> Names:
    """Read `chat,metrics` (plain) or `chat:59,metrics:0` (each with an internal id). Raises `Refused`."""
    return _read_names(text) if len(text) > _REMEMBERED else _read_names_again(text)


def _read_names(text: str) -> Names:
    if not text:
        raise errors.Refused(
            errors.MISSING_PARAMETER, "identifiers is missing: name what to listen to, e.g. identifiers=chat,metrics"
        )
    pairs = [item.partition(":") for item in text.split(",")]
    with_ids = [pair for pair in pairs if pair[1]]
    if not with_ids:
        return _checked([pair[0] for pair in pairs], None)
    if len(with_ids) != len(pairs):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            "identifiers: give every one an internal id (chat:59,metrics:0) or none; put the others in a group of their own.",
        )
    return _checked([pair[0] for pair in pairs], [pair[2] for pair in pairs])


_REMEMBERED = 200
"""Characters of a list that is remembered: nearly all pages of a site ask for the same few."""
_read_names_again = lru_cache(1024)(_read_names)


def names_from_json(value: object) -> Names:
    """Read a string, an array of strings, or an object of identifier to internal id. Raises `Refused`."""
    if isinstance(value, str):
        return _checked([value], None)
    if isinstance(value, list):
        return _checked(value, None)
    if isinstance(value, dict):
        return _checked(list(value), list(value.values()))
    if value is None:
        raise errors.Refused(
            errors.MISSING_PARAMETER, 'identifiers is missing in a group: write e.g. {"identifiers":["chat"]}'
        )
    raise errors.Refused(
        errors.INVALID_PARAMETER,
        "identifiers must be a string, an array of strings, or an object of identifier to internal id.",
    )


def _checked(names: list[object] | list[str], internal_ids: list[object] | list[str] | None) -> Names:
    if not 1 <= len(names) <= MAX_IDENTIFIERS:
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"identifiers: 1 to {MAX_IDENTIFIERS} can be listened to at once, {len(names)} were given.",
        )
    identifiers = tuple([Identifier.read(name) for name in names])
    if len({identifier.folded for identifier in identifiers}) != len(identifiers):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"identifiers: {_twice(identifiers)} stands twice in one group (spelling does not tell them apart).",
        )
    if internal_ids is None:
        return Names(identifiers)
    return Names(
        identifiers,
        tuple(
            [
                read_integer(value, f"the internal id of {identifier.spelled}", MAX_ID)
                for identifier, value in zip(identifiers, internal_ids, strict=True)
            ]
        ),
    )


def _twice(identifiers: tuple[Identifier, ...]) -> str:
    seen: set[str] = set()
    return next(one.spelled for one in identifiers if one.folded in seen or seen.add(one.folded))  # type: ignore[func-returns-value]


def _shown(value: object) -> str:
    """What was sent, short enough for an error and in quotes; nothing of what is no string."""
    if not isinstance(value, str):
        return "What was sent"
    return repr(value if len(value) <= 64 else value[:61] + "...")
