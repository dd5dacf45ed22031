"""The queries of a back end that asks for a list."""

from collections.abc import Mapping, Sequence

from cometify.core.errors import INVALID_PARAMETER, REPEATED_PARAMETER, UNKNOWN_PARAMETER, Refused
from cometify.core.identifier import EXTENDED
from cometify.core.identifier_page import AskedNames
from cometify.core.integer import MAX_ID, read_integer
from cometify.core.push_page import AskedPushes

DEFAULT_LIMIT, MOST = 100, 1_000
"""Entries of one page: without `limit`, and at most."""

Query = Mapping[str, Sequence[str]]
"""The parameters of a query, decoded, each with all its values."""


def read_asked_names(query: Query) -> AskedNames:
    """Read a question for identifiers. Raises `Refused`: unknown_, repeated_, invalid_parameter."""
    values = _read(query, ("prefix", "after", "limit"))
    return AskedNames(_read_name(values, "prefix"), _read_name(values, "after"), _read_limit(values))


def read_asked_pushes(query: Query) -> AskedPushes:
    """Read a question for kept pushes. Raises `Refused`: unknown_, repeated_, invalid_parameter."""
    values = _read(query, ("after", "limit"))
    after = read_integer(values["after"], "after", MAX_ID) if "after" in values else None
    return AskedPushes(after, _read_limit(values))


def read_asked_accounts(query: Query) -> tuple[str, int]:
    """Read a question for accounts: the API key after which the page begins, and its length. Raises `Refused`."""
    values = _read(query, ("after", "limit"))
    return values.get("after", ""), _read_limit(values)


def check_no_parameters(query: Query) -> None:
    """Refuse a query that has any parameters. Raises `Refused`: unknown_, repeated_parameter."""
    _read(query, ())


def _read(query: Query, known: tuple[str, ...]) -> dict[str, str]:
    """The values that are not empty. Unknown names are refused: a misspelled `after` would bring the first page for ever."""
    for name, values in query.items():
        if name not in known:
            names = f"this query takes {', '.join(known)}" if known else "this path takes no query"
            raise Refused(UNKNOWN_PARAMETER, f"The query has an unknown parameter: {names}.")
        if len(values) > 1:
            raise Refused(REPEATED_PARAMETER, f"{name} is given more than once: send it once.")
    return {name: values[0] for name, values in query.items() if values[0]}


def _read_limit(values: Mapping[str, str]) -> int:
    limit = read_integer(values.get("limit", str(DEFAULT_LIMIT)), "limit", MOST)
    if not limit:
        raise Refused(INVALID_PARAMETER, f"limit must be 1 to {MOST}.")
    return limit


def _read_name(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "")
    if value and not EXTENDED.allows(value):
        raise Refused(INVALID_PARAMETER, f"{name} is not the beginning of an identifier: write {EXTENDED.rule}.")
    return value.lower()
