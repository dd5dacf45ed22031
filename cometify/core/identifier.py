"""Identifiers, and lists of them in the three forms that a request can have: query, array, object."""

import re
from functools import lru_cache

import attrs

from cometify.core import errors
from cometify.core.integer import MAX_ID, read_integer

MAX_IDENTIFIERS = 100
"""The most identifiers of one listener, over all its groups."""

MAX_LENGTH = 60
"""The most characters of an identifier."""
_FORM = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,59}")


@attrs.frozen
class Identifier:
    """The name of a channel. Two spellings of one identifier are equal.

    "An identifier is NOT case sensitive" (the seed). `spelled`: as sent, for signatures. `folded`: in lower case, for
    routing.
    """

    spelled: str = attrs.field(eq=False)
    folded: str

    @classmethod
    def read(cls, value: object) -> "Identifier":
        """Read an identifier. Raises `Refused` (invalid_identifier) for anything else, of any type."""
        # A longer text must not reach the cache, or strangers could fill the memory with it.
        identifier = _read(value) if isinstance(value, str) and len(value) <= MAX_LENGTH else None
        if identifier is None:
            raise errors.Refused(
                errors.INVALID_IDENTIFIER,
                f"{_shown(value)} is not an identifier{_fault(value)}: write 1 to 60 of a-z, A-Z, 0-9 and underscore, a letter "
                "first.",
            )
        return identifier


@lru_cache(4096)
def _read(spelled: str) -> Identifier | None:
    # The same few identifiers come with every push, and one object compares with itself in no time.
    return Identifier(spelled, spelled.lower()) if _FORM.fullmatch(spelled) else None


@attrs.frozen
class Names:
    """A list of identifiers in the order sent, either all plain or all with an internal id."""

    identifiers: tuple[Identifier, ...]
    internal_ids: tuple[int, ...] | None = None
    folded: tuple[str, ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "folded", tuple([identifier.folded for identifier in self.identifiers]))

    @property
    def spelled(self) -> str:
        """The names as a secureKey signs them: exactly as sent, comma separated, without internal ids."""
        return ",".join([identifier.spelled for identifier in self.identifiers])


def names_from_query(text: str) -> Names:
    """Read `chat,metrics` (plain) or `chat:59,metrics:0` (each with an internal id).

    Raises `Refused`: missing_parameter, invalid_parameter, invalid_identifier.
    """
    return _read_names_cached(text) if len(text) <= _MAX_CACHED else _read_names(text)


def _read_names(text: str) -> Names:
    if not text:
        raise errors.Refused(
            errors.MISSING_PARAMETER,
            "identifiers is missing: name the identifiers to listen to, e.g. identifiers=chat,metrics",
        )
    pairs = [item.partition(":") for item in text.split(",")]
    with_ids = [pair for pair in pairs if pair[1]]
    if not with_ids:
        return _checked([pair[0] for pair in pairs], None)
    if len(with_ids) != len(pairs):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            "identifiers: give all of them an internal id (chat:59,metrics:0) or none; use a second group for the others.",
        )
    return _checked([pair[0] for pair in pairs], [pair[2] for pair in pairs])


_MAX_CACHED = 200
"""The most characters of a list that is cached. Nearly all pages of a site ask for the same few short lists."""
_read_names_cached = lru_cache(1024)(_read_names)


def names_from_json(value: object) -> Names:
    """Read the JSON of a list: a string, an array of strings, or an object of identifier to internal id.

    Raises `Refused`: missing_parameter, invalid_parameter, invalid_identifier.
    """
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
            f"identifiers: name 1 to {MAX_IDENTIFIERS}; {len(names)} were given.",
        )
    identifiers = tuple([Identifier.read(name) for name in names])
    if len({identifier.folded for identifier in identifiers}) != len(identifiers):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"identifiers: {_repeated(identifiers)} is given twice in one group: name it once (its case makes no difference).",
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


def _repeated(identifiers: tuple[Identifier, ...]) -> str:
    seen: set[str] = set()
    return next(one.spelled for one in identifiers if one.folded in seen or seen.add(one.folded))  # type: ignore[func-returns-value]


def _fault(value: object) -> str:
    """Tell why a value is not an identifier, and which character is wrong. Empty if it is not a string."""
    if not isinstance(value, str):
        return ""
    if not value:
        return " because it is empty"
    wrong = _WRONG.search(value)
    if wrong is not None:
        return f" because of the character {wrong[0]!r}"
    if len(value) > MAX_LENGTH:
        return f" because it has {len(value)} characters"
    return f" because it begins with {value[0]!r}"


_WRONG = re.compile(r"[^a-zA-Z0-9_]")


def _shown(value: object) -> str:
    """Show a value in an error: quoted and shortened if it is a string, and nothing of it otherwise."""
    if not isinstance(value, str):
        return "The value"
    return repr(value if len(value) <= 64 else value[:61] + "...")
