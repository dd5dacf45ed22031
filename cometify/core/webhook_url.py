"""The URL of a webhook as people may see it. Its query may hold a secret."""

HIDDEN = "?…"
"""Stands for the query. No URL of a webhook has it, because these are ASCII."""


def without_query(url: str) -> str:
    """The URL without its query."""
    return url.partition("?")[0]


def shown(url: str) -> str:
    """The URL for a person who looks at the settings: a query is told to be there, and not shown."""
    return without_query(url) + HIDDEN if "?" in url else url


def meant(url: object, before: object) -> object:
    """The URL that a person means who sends back what was shown: the one `before`. Any other value is returned as it is."""
    return before if isinstance(before, str) and url == shown(before) else url
