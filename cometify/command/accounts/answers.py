"""Readers of the answers of the admin endpoint.

They raise KeyError, TypeError, ValueError or OverflowError for an answer that is none of Cometify's. So a program of another
kind at that port, or the page of a proxy, is told in one line.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

Told = Mapping[str, Any]
"""An account as the server tells it."""


@attrs.frozen
class Page:
    """A page of accounts. `next`: the key after which the next page begins, None if this is the last."""

    accounts: list[Told]
    next: str | None


def page_after(after: str) -> Callable[[dict[str, Any]], Page]:
    """Make a reader of the page of accounts behind a key. The pages of a server end, because their keys ascend."""

    def read(document: dict[str, Any]) -> Page:
        accounts = [_account(account) for account in _list(document["accounts"])]
        following = document["next"]
        if following is not None and not _text(following) > after:
            raise ValueError
        return Page(accounts, following)

    return read


def account(document: dict[str, Any]) -> Told:
    """Read an account with all values that hold for it."""
    _object(document["effective"])
    return _account(document)


def settings_and_tag(document: dict[str, Any]) -> tuple[dict[str, object], str | None]:
    """Read the own settings of an account, and the name of its state for If-Match, None if it has none."""
    told = _account(document)
    tag = told.get("tag")
    if tag is not None and not (_text(tag).isascii() and tag.isprintable()):
        raise ValueError
    return dict(told["settings"]), tag


def changed(api_key: str) -> Callable[[dict[str, Any]], Told]:
    """Make a reader of the answer to a change of an account."""

    def read(document: dict[str, Any]) -> Told:
        if "api_secret" in document:
            _text(document["api_secret"])
            # A server that does not follow the account yet may leave the key out. The secret must not be lost.
            document = {"api_key": api_key, **document}
        if document["api_key"] != api_key:
            raise ValueError
        return document

    return read


def with_secret(api_key: str) -> Callable[[dict[str, Any]], Told]:
    """Make a reader of the answer with a secret that was just made."""

    def read(document: dict[str, Any]) -> Told:
        _text(document["api_secret"])
        return changed(api_key)(document)

    return read


def reloaded(document: dict[str, Any]) -> Told:
    """Read the difference that a reload has made."""
    for name in ("came", "gone"):
        _texts(document[name])
    for names in _object(document["changed"]).values():
        _texts(names)
    return document


def _account(value: object) -> Told:
    told = _object(value)
    _text(told["api_key"])
    _text(told["source"])
    _ = told["suspended"], told["secrets"], _object(told["settings"])
    for name in ("created", "changed"):
        if told.get(name) is not None:
            time.localtime(told[name])
    return told


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _texts(value: object) -> None:
    for item in _list(value):
        _text(item)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
