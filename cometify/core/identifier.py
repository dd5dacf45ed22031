"""Identifiers, and lists of them in the three forms that a request can have: query, array, object."""

import re
from collections.abc import Mapping
from functools import lru_cache

import attrs

from cometify.core import errors
from cometify.core.integer import MAX_ID, read_integer

MAX_IDENTIFIERS = 100
"""The most identifiers of one listener, over all its groups. One in several groups counts once."""
MAX_NAMED = 1000
"""How often all groups of a listener together may name an identifier. It bounds the work of one join."""

_PLAIN = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,59}")


@attrs.frozen
class Identifier:
    """The name of a channel. Two spellings of one identifier are equal.

    "An identifier is NOT case sensitive" (the seed). `spelled`: as sent, for signatures. `folded`: in lower case, for
    routing. `is_extended`: only an account with extended identifiers can have it.
    """

    spelled: str = attrs.field(eq=False)
    folded: str
    is_extended: bool = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "is_extended", _PLAIN.fullmatch(self.spelled) is None)

    @classmethod
    def read(cls, value: object, spelling: "Spelling | None" = None) -> "Identifier":
        """Read an identifier. Raises `Refused` (invalid_identifier) for anything else, of any type.

        `spelling`: the rule that holds for the account, `PLAIN` if it is left out.
        """
        spelling = spelling or PLAIN
        # A longer text must not reach the cache, or strangers could fill the memory with it.
        identifier = spelling.find(value) if isinstance(value, str) and len(value) <= spelling.longest else None
        if identifier is None:
            raise errors.Refused(
                errors.INVALID_IDENTIFIER,
                f"{_shown(value)} is not an identifier{spelling.fault(value)}: write {spelling.rule}.",
            )
        return identifier


class Spelling:
    """A rule for the spelling of identifiers.

    An identifier is a letter and then more of `characters` (the inside of a class of `re`), `longest` characters in all.
    `rule` says so in English. Each rule has caches of its own, so that no account gets an identifier that only another
    one may have.

    `find(spelled)`: the identifier, None if it is none. `find_names(text)`: `names_from_query` for short texts.
    """

    def __init__(self, characters: str, longest: int, rule: str) -> None:
        name = f"[a-zA-Z][{characters}]{{0,{longest - 1}}}"
        self.longest = longest
        self.rule = rule
        self._form = re.compile(name)
        self._name_or_prefix = re.compile(rf"{name}\*?|\*")
        self._wrong = re.compile(f"[^{characters}]")
        # The same few identifiers come with every push, and one object compares with itself in no time.
        self.find = lru_cache(4096)(self._find)
        # Nearly all pages of a site ask for the same few short lists.
        self.find_names = lru_cache(1024)(lambda text: _read_names(text, self))

    def _find(self, spelled: str) -> Identifier | None:
        return Identifier(spelled, spelled.lower()) if self._form.fullmatch(spelled) else None

    def allows(self, name: str) -> bool:
        """True if a name is spelled by this rule."""
        return self._form.fullmatch(name) is not None

    def allows_prefix(self, name: str) -> bool:
        """True for an identifier, and for a prefix and a `*`."""
        return self._name_or_prefix.fullmatch(name) is not None

    def fault(self, value: object) -> str:
        """Tell why a value is not an identifier, and which character is wrong. Empty if it is not a string."""
        if not isinstance(value, str):
            return ""
        if not value:
            return " because it is empty"
        wrong = self._wrong.search(value)
        if wrong is not None:
            return f" because of the character {wrong[0]!r}"
        if len(value) > self.longest:
            return f" because it has {len(value)} characters"
        return f" because it begins with {value[0]!r}"


_PLAIN_RULE = "1 to 60 of a-z, A-Z, 0-9 and underscore, a letter first"
PLAIN = Spelling(
    "a-zA-Z0-9_",
    60,
    f'{_PLAIN_RULE} (identifiers = "extended" in the settings of the account allows dot and hyphen too)',
)
"""The seed's rule. It holds for every account that does not ask for the other one."""
EXTENDED = Spelling("a-zA-Z0-9_.-", 100, "1 to 100 of a-z, A-Z, 0-9, underscore, dot and hyphen, a letter first")
"""The rule of an account with `identifiers = "extended"`."""
ANY = Spelling(
    "a-zA-Z0-9_.-",
    100,
    f'{_PLAIN_RULE}; or 1 to 100, dot and hyphen too, if the settings of the account have identifiers = "extended"',
)
"""The rule for a push whose sender is not known yet. Its text must not depend on the account. See `account_rules`."""
SPELLINGS: Mapping[str, Spelling] = {"plain": PLAIN, "extended": EXTENDED}
"""The rules by the values of an account's setting `identifiers`."""


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


def names_from_query(text: str, spelling: Spelling = PLAIN) -> Names:
    """Read `chat,metrics` (plain) or `chat:59,metrics:0` (each with an internal id).

    Raises `Refused`: missing_parameter, invalid_parameter, invalid_identifier.
    """
    return spelling.find_names(text) if len(text) <= _MAX_CACHED else _read_names(text, spelling)


_MAX_CACHED = 200
"""The most characters of a list that is cached."""


def _read_names(text: str, spelling: Spelling) -> Names:
    if not text:
        raise errors.Refused(
            errors.MISSING_PARAMETER,
            "identifiers is missing: name the identifiers to listen to, e.g. identifiers=chat,metrics",
        )
    pairs = [item.partition(":") for item in text.split(",")]
    with_ids = [pair for pair in pairs if pair[1]]
    if not with_ids:
        return _checked([pair[0] for pair in pairs], None, spelling)
    if len(with_ids) != len(pairs):
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            "identifiers: give all of them an internal id (chat:59,metrics:0) or none; use a second group for the others.",
        )
    return _checked([pair[0] for pair in pairs], [pair[2] for pair in pairs], spelling)


def names_from_json(value: object, spelling: Spelling = PLAIN) -> Names:
    """Read the JSON of a list: a string, an array of strings, or an object of identifier to internal id.

    Raises `Refused`: missing_parameter, invalid_parameter, invalid_identifier.
    """
    if isinstance(value, str):
        return _checked([value], None, spelling)
    if isinstance(value, list):
        return _checked(value, None, spelling)
    if isinstance(value, dict):
        return _checked(list(value), list(value.values()), spelling)
    if value is None:
        raise errors.Refused(
            errors.MISSING_PARAMETER, 'identifiers is missing in a group: write e.g. {"identifiers":["chat"]}'
        )
    raise errors.Refused(
        errors.INVALID_PARAMETER,
        "identifiers must be a string, an array of strings, or an object of identifier to internal id.",
    )


def _checked(
    names: list[object] | list[str], internal_ids: list[object] | list[str] | None, spelling: Spelling
) -> Names:
    if not 1 <= len(names) <= MAX_IDENTIFIERS:
        raise errors.Refused(
            errors.INVALID_PARAMETER,
            f"identifiers: name 1 to {MAX_IDENTIFIERS}; {len(names)} were given.",
        )
    identifiers = tuple([Identifier.read(name, spelling) for name in names])
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


def _shown(value: object) -> str:
    """Show a value in an error: quoted and shortened if it is a string, and nothing of it otherwise."""
    if not isinstance(value, str):
        return "The value"
    return repr(value if len(value) <= 64 else value[:61] + "...")
