"""`cometify push`, `cometify position` and `cometify usage`."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import NoReturn, TypeVar

import click

from cometify.client import ABSENT, Cometify, CometifyError, MaybePushed, Pushed
from cometify.client.errors import NO_ANSWER, UNREACHABLE, UNREADABLE_ANSWER
from cometify.command import exit_status
from cometify.command.account import find_client, with_account_options
from cometify.command.escapes import escaped
from cometify.command.refusals import advice
from cometify.command.usage_table import usage_lines

T = TypeVar("T")
_LATER = frozenset({429, 500, 502, 503, 504})
"""Statuses after which the same request can succeed later."""


class _Failed(click.ClickException):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc] # click has it as an attribute of the class


_timeout = click.option("--timeout", type=float, default=10.0, help="Seconds for the whole command. Default: 10")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the answer, or the error, as a line of JSON.")


@click.command()
@click.argument("channel")
@click.argument("text", required=False)
@click.option("--data", help="A JSON value instead of TEXT.")
@click.option("--secret", is_flag=True, help="Only for listeners with a valid key or token.")
@click.option("--id", "push_id", type=click.IntRange(0, 2**63 - 1), help="Your own number for it.")
@click.option("--event", help="The name of what happened.")
@click.option("--except", "except_", help="The id of a listener that does not get it.")
@click.option("--idempotency-key", help="Calls with the same key push once.")
@_timeout
@_as_json
@with_account_options
def push(
    channel: str,
    text: str | None,
    data: str | None,
    secret: bool,
    push_id: int | None,
    event: str | None,
    except_: str | None,
    idempotency_key: str | None,
    timeout: float,
    as_json: bool,
    url: str | None,
    config: str | None,
    api_key: str | None,
) -> None:
    """Push TEXT to CHANNEL. A TEXT or a --data of - is read from standard input."""
    if (text is None) == (data is None):
        raise click.UsageError("Give either TEXT or --data.")
    content = ABSENT if text is None else _given(text)
    value = ABSENT if data is None else _json(_given(data))
    client = find_client(url, config, api_key, timeout)

    def call() -> Pushed:
        return client.push(
            channel,
            content,
            data=value,
            secret=secret,
            push_id=push_id,
            event=event,
            except_=except_,
            idempotency_key=idempotency_key,
        )

    pushed = _carried_out(client, call, url, config, as_json=as_json)
    if as_json:
        click.echo(json.dumps(asdict(pushed)))
    else:
        again = ", which was pushed before" if pushed.duplicate else ""
        click.echo(f"{escaped(pushed.identifier)} {pushed.position}: listeners {pushed.listeners}{again}")


@click.command()
@_timeout
@_as_json
@with_account_options
def position(timeout: float, as_json: bool, url: str | None, config: str | None, api_key: str | None) -> None:
    """Print the newest position of the account."""
    client = find_client(url, config, api_key, timeout)
    newest = _carried_out(client, client.position, url, config, as_json=as_json)
    click.echo(json.dumps({"position": newest}) if as_json else newest)


@click.command(short_help="Print the usage of the account by day.")
@_timeout
@_as_json
@with_account_options
def usage(timeout: float, as_json: bool, url: str | None, config: str | None, api_key: str | None) -> None:
    """Print the usage of the account: its listeners, this hour, and each of the last 31 days on which it was used."""
    client = find_client(url, config, api_key, timeout)
    told = _carried_out(client, client.usage, url, config, as_json=as_json)
    if as_json:
        click.echo(json.dumps(asdict(told), default=lambda begins: begins.strftime("%Y-%m-%dT%H:%M:%SZ")))
        return
    for line in usage_lines(told):
        click.echo(line)


def _given(argument: str) -> str:
    """Return an argument, or standard input without a line end at its end."""
    if argument != "-":
        return argument
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise click.ClickException("Standard input is not UTF-8.") from None


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise click.BadParameter("write a JSON value, such as '{\"id\": 7}'.", param_hint="--data") from None
    return value


def _carried_out(client: Cometify, call: Callable[[], T], url: str | None, config: str | None, *, as_json: bool) -> T:
    with client:
        try:
            return call()
        except CometifyError as error:
            _fail(error, advice(error, url, config), as_json)


def _fail(error: CometifyError, detail: str, as_json: bool) -> NoReturn:
    if as_json:
        fields = ("code", "status", "retry_after", "idempotency_key")
        click.echo(json.dumps({"detail": detail, **{name: getattr(error, name) for name in fields}}))
    if isinstance(error, MaybePushed):
        detail += f" The push may have been made. Repeat it with --idempotency-key {error.idempotency_key}"
    raise _Failed(detail, _status(error))


def _status(error: CometifyError) -> int:
    if isinstance(error, MaybePushed):
        return exit_status.MAYBE_PUSHED
    if error.code in (UNREACHABLE, NO_ANSWER, UNREADABLE_ANSWER) or error.status in _LATER:
        return exit_status.UNREACHABLE
    return exit_status.FAILED if error.status is None else exit_status.REFUSED
