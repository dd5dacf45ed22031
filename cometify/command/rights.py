"""`cometify key` and `cometify token`: the right to the secret pushes of some identifiers, for a page.

`cometify url`: the right to everything, for a back end.
"""

import json
import re
import time

import click

from cometify.command.account import find_account, find_url, with_account_options, with_file_options
from cometify.core.account_token import make_account_token
from cometify.core.errors import Refused
from cometify.core.identifier import names_from_query
from cometify.core.md5_signature import secure_key
from cometify.core.token import is_subject, make_token

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


_as_json = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON.")


class Duration(click.ParamType[int]):
    """A number and a unit: 90s, 10m, 8h, 7d. Its value is in seconds."""

    name = "duration"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is not a duration: write a number and s, m, h or d, such as 10m.", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


@click.command(short_help="Print the secureKey of a list of identifiers.")
@click.argument("identifiers")
@_as_json
@with_account_options
def key(identifiers: str, as_json: bool, url: str | None, config: str | None, api_key: str | None) -> None:
    """Print the secureKey of IDENTIFIERS, a list such as guestbook,comments.

    The key fits exactly this list: these names, in this order and spelling.
    """
    account = find_account(url, config, api_key)
    try:
        names = names_from_query(identifiers, account.spelling)
    except Refused as refused:
        raise click.ClickException(refused.detail) from None
    if names.internal_ids is not None:
        raise click.ClickException("A secureKey is made of the names alone: leave the internal ids out.")
    made = secure_key(account.api_key, account.api_secrets[0], names.spelled)
    click.echo(json.dumps({"secureKey": made}) if as_json else made)


@click.command(short_help="Print a token with the right to secret pushes.")
@click.option("--identifiers", help="Names such as guestbook,user_7_*. A trailing * stands for a prefix.")
@click.option(
    "--account", "for_account", is_flag=True, help="Instead: reads the usage and the identifiers of the account."
)
@click.option(
    "--for", "seconds", type=Duration(), default=600, help="The life of the token: 90s, 10m, 8h, 7d. Default: 10m"
)
@click.option("--sub", help="The visitor to whom the token is given, so that `disconnect` can find the connections.")
@_as_json
@with_account_options
def token(
    identifiers: str | None,
    for_account: bool,
    seconds: int,
    sub: str | None,
    as_json: bool,
    url: str | None,
    config: str | None,
    api_key: str | None,
) -> None:
    """Print a token that gives the right to secret pushes for a while.

    With --account it gives no such right. Its holder sees the usage and the identifiers of the account, at /account of the
    server.
    """
    account = find_account(url, config, api_key)
    now = int(time.time())
    if for_account:
        if identifiers is not None or sub is not None:
            raise click.UsageError("--account stands alone: leave --identifiers and --sub out.")
        _print_token(
            make_account_token(account.api_secrets[0], account.api_key, now + seconds, now), now + seconds, as_json
        )
        return
    if identifiers is None:
        raise click.UsageError("Give --identifiers, or --account.")
    names = identifiers.split(",")
    for name in names:
        if not account.spelling.allows_prefix(name):
            raise click.ClickException(
                f"{name!r} is not a name or a prefix: write {account.spelling.rule}. A trailing * stands for a prefix."
            )
    if sub is not None and not is_subject(sub):
        raise click.ClickException("--sub must have 1 to 128 printable characters.")
    _print_token(make_token(account.api_secrets[0], names, now + seconds, now, sub), now + seconds, as_json)


def _print_token(made: str, until: int, as_json: bool) -> None:
    click.echo(json.dumps({"token": made, "exp": until}) if as_json else made)


@click.command(short_help="Print the URL of the account, with its secret.")
@with_file_options
def url(config: str | None, api_key: str | None) -> None:
    """Print the URL of an account of the configuration file, with its secret: the value of COMETIFY_URL.

    The server of the URL is the one that this file starts on this machine.
    """
    click.echo(find_url(config, api_key))
