"""Settings as a person types them: NAME=VALUE."""

import json
from collections.abc import Iterable

import attrs
import click

from cometify.core.account import Account


def read_settings(words: Iterable[str]) -> dict[str, object]:
    """Read NAME=VALUE words. An empty value is None, which means the default. Raises `UsageError`."""
    settings: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{word!r} is not NAME=VALUE. Write listeners=5000, or listeners= for its default.")
        settings[name.replace("-", "_")] = _read_value(name.replace("-", "_"), value)
    return settings


def _read_value(name: str, text: str) -> object:
    if not text:
        return None
    field = attrs.fields_dict(Account).get(name)
    if field is not None and "tuple" in str(field.type) and not text.startswith("["):
        return text.split(",")
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def merged(own: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    """Return the settings `own` changed by those that are given."""
    return {name: value for name, value in {**own, **given}.items() if value is not None}
