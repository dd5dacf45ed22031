"""Accounts and changes, printed for a person."""

import json
import sys
import time
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cometify.command.accounts.answers import Told
from cometify.command.escapes import escaped


def _console() -> Console:
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def print_json(document: object) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(document) + "\n")


def print_accounts(accounts: Iterable[Told]) -> None:
    """Print a table with a row for each account."""
    table = Table(box=None, pad_edge=False)
    for name in ("api key", "state", "kept in", "secrets", "changed", "settings"):
        table.add_column(name, overflow="fold")
    for account in accounts:
        table.add_row(
            _text(account["api_key"]),
            Text("suspended", style="yellow") if account["suspended"] else Text("active", style="green"),
            _text(account["source"]),
            _text(account["secrets"]),
            _when(account.get("changed")),
            _text(" ".join(f"{name}={_value(value)}" for name, value in account["settings"].items())),
        )
    _console().print(table)


def print_account(account: Told) -> None:
    """Print all values that hold for one account. Its own ones are marked."""
    console = _console()
    state = "suspended" if account["suspended"] else "active"
    console.print(
        _text(f"{account['api_key']}: {state}, kept in the {account['source']}, secrets: {account['secrets']}")
    )
    if "created" in account:
        console.print(Text(f"created {_when(account['created'])}, changed {_when(account['changed'])}"))
    table = Table(box=None, pad_edge=False)
    for name in ("setting", "value", ""):
        table.add_column(name, overflow="fold")
    for name, value in account["effective"].items():
        table.add_row(_text(name), _text(_value(value)), "its own" if name in account["settings"] else "")
    console.print(table)


def print_secret(account: Told) -> None:
    """Print a secret that was just made, and that no answer has again."""
    console = _console()
    console.print(_text(f"API key    {account['api_key']}"))
    console.print(_text(f"API secret {account['api_secret']}"))
    console.print(Text("Note the secret down: it is not shown again.", style="yellow"))


def _text(value: object) -> Text:
    """A value of the server, with its control characters escaped."""
    return Text(escaped(str(value)))


def _value(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return json.dumps(value) if isinstance(value, bool | dict) else str(value)


def _when(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
