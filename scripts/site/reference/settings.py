"""The page of all settings, from their definitions in cometify/config and cometify/core/account.py."""

import ast
import inspect
from collections.abc import Mapping
from typing import Any

import attrs

from cometify.config.keys import ACCOUNT, FIELDS, SERVER
from cometify.config.readers import Reader
from cometify.config.settings import Settings
from cometify.core.account import Account

_HEAD = """# All settings

This page is made from the definitions in the code. [Configure Cometify](../configuration.md) has examples.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [_HEAD, "## Settings of the server", *_entries(Settings, SERVER)]
    return "\n\n".join([*parts, "## Settings of an account", *_entries(Account, ACCOUNT)]) + "\n"


def _entries(kind: type, readers: Mapping[str, Reader]) -> list[str]:
    fields = attrs.fields_dict(kind)
    texts = _docstrings(kind)
    entries = []
    for name, reader in readers.items():
        of = FIELDS.get(name, name) if kind is Settings else name
        field = fields.get(of)
        facts = [f"- Values: {_values(reader)}."]
        if field is not None and field.default is not attrs.NOTHING:
            facts.append(f"- Default: {_default(field.default)}.")
        text = texts.get(of) or _summary(reader)
        entries.append(f"### `{name}`\n\n{text}\n\n" + "\n".join(facts))
    return entries


def _values(reader: Reader) -> str:
    """The values that a reader takes. Its refusal of a wrong value tells them."""
    try:
        reader(object())
    except ValueError as error:
        return str(error).removeprefix("must be ").partition(" (must")[0]
    raise AssertionError(f"{reader} takes anything")


def _default(value: Any) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"{value:,}"


def _summary(reader: Reader) -> str:
    """The first sentence of a reader's docstring, for a setting that becomes no field of its own."""
    return (inspect.getdoc(reader) or "").partition("\n")[0]


def _docstrings(kind: type) -> dict[str, str]:
    """The text below each field of a class, which Python itself does not keep."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found
