"""`cometify account`: the commands."""

import secrets
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from cometify.client.lists import read_usage
from cometify.command.accounts import answers
from cometify.command.accounts.admin_client import TOKEN_FILE_VARIABLE, URL_VARIABLE, AdminClient, account_path
from cometify.command.accounts.report import print_account, print_accounts, print_json, print_secret
from cometify.command.accounts.values import merged, read_settings
from cometify.command.escapes import escaped
from cometify.command.usage_table import usage_lines
from cometify.config.named_files import MOST_SECRETS, read_at_most

_PAGE = 1000

_as_json = click.option("--json", "as_json", is_flag=True, help="Print the server's answer as a line of JSON.")
_key = click.argument("api_key", metavar="KEY")
_settings = click.argument("words", metavar="[NAME=VALUE]...", nargs=-1)


@click.group()
def account() -> None:
    """List and change the accounts of a running server.

    Settings are those of docs/configuration.md, as NAME=VALUE: listeners=5000, private=orders,user_*. NAME= sets the default.
    """


def _asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that find the admin endpoint, and a client of it as its first argument."""

    @click.option(
        "--admin", envvar=URL_VARIABLE, help="The admin endpoint. Default: the one of the configuration file."
    )
    @click.option(
        "--token-file",
        envvar=TOKEN_FILE_VARIABLE,
        help="The file with the admin token. Default: admin_token_file of the file.",
    )
    @click.option("--config", help="The configuration file. Default: cometify.toml")
    @wraps(command)
    def with_client(admin: str | None, token_file: str | None, config: str | None, **arguments: Any) -> None:
        command(AdminClient.find(admin, token_file, config), **arguments)

    return with_client


@account.command("list")
@_as_json
@_asks
def list_accounts(client: AdminClient, as_json: bool) -> None:
    """List all accounts, those of the configuration file too."""
    found: list[Any] = []
    after: str | None = ""
    while after is not None:
        page = client.ask("GET", f"/accounts?limit={_PAGE}&after={quote(after)}", answers.page_after(after))
        found += page.accounts
        after = page.next
    if as_json:
        print_json({"accounts": found})
    else:
        print_accounts(found)


@account.command()
@_key
@_as_json
@_asks
def show(client: AdminClient, api_key: str, as_json: bool) -> None:
    """Show one account, with all values that hold for it. No secret is shown."""
    told = client.ask("GET", account_path(api_key), answers.account)
    if as_json:
        print_json(told)
    else:
        print_account(told)


@account.command()
@_key
@_as_json
@_asks
def usage(client: AdminClient, api_key: str, as_json: bool) -> None:
    """Print the usage of one account, this hour and by day. Its secret is not needed, and it may be suspended."""
    told, read = client.ask("GET", account_path(api_key, "usage"), lambda told: (told, read_usage(told)))
    if as_json:
        print_json(told)
        return
    for line in usage_lines(read):
        click.echo(line)


@account.command()
@click.argument("words", metavar="[KEY] [NAME=VALUE]...", nargs=-1)
@click.option(
    "--secret-file", type=click.Path(path_type=Path), help="A file with the account's API secret. Default: one is made."
)
@_as_json
@_asks
def add(client: AdminClient, words: tuple[str, ...], secret_file: Path | None, as_json: bool) -> None:
    """Add an account. Without KEY, a number of eight digits is made. The new API secret is shown this once."""
    has_key = bool(words) and "=" not in words[0]
    api_key = words[0] if has_key else str(secrets.randbelow(9 * 10**7) + 10**7)
    body = merged({}, read_settings(words[has_key:]))
    if secret_file is not None:
        body["api_secret"] = _read_secret(secret_file)
    told = client.ask("PUT", account_path(api_key), answers.changed(api_key), body, {"If-None-Match": "*"})
    if as_json:
        print_json(told)
    elif "api_secret" in told:
        print_secret(told)
    else:
        click.echo(f"{api_key} was added.")


def _read_secret(file: Path) -> str:
    try:
        return read_at_most(file, MOST_SECRETS).decode().strip("\r\n")
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file}: the secret cannot be read ({error}).") from None


@account.command("set")
@_key
@_settings
@_as_json
@_asks
def set_account(client: AdminClient, api_key: str, words: tuple[str, ...], as_json: bool) -> None:
    """Change settings of an account. The others stay."""
    given = read_settings(words)
    if not given:
        raise click.UsageError("Give at least one NAME=VALUE.")
    settings, tag = client.ask("GET", account_path(api_key), answers.settings_and_tag)
    seen = {} if tag is None else {"If-Match": tag}
    told = client.ask("PUT", account_path(api_key), answers.changed(api_key), merged(settings, given), seen)
    _done(told, as_json, f"{api_key} was changed.")


@account.command()
@_key
@_as_json
@_asks
def suspend(client: AdminClient, api_key: str, as_json: bool) -> None:
    """Refuse everything to an account for a while. Its data stay."""
    _done(_change(client, api_key, "suspend"), as_json, f"{api_key} is suspended.")


@account.command()
@_key
@_as_json
@_asks
def resume(client: AdminClient, api_key: str, as_json: bool) -> None:
    """Let a suspended account go on."""
    _done(_change(client, api_key, "resume"), as_json, f"{api_key} goes on.")


@account.command()
@_key
@_as_json
@_asks
def rotate(client: AdminClient, api_key: str, as_json: bool) -> None:
    """Make a second API secret, which is shown this once. Both are accepted until `retire`."""
    told = client.ask("POST", account_path(api_key, "rotate"), answers.with_secret(api_key))
    if as_json:
        print_json(told)
    else:
        print_secret(told)


@account.command()
@_key
@click.option("--new", is_flag=True, help="Remove the new secret, because nobody noted it down, and not the old one.")
@_as_json
@_asks
def retire(client: AdminClient, api_key: str, new: bool, as_json: bool) -> None:
    """Remove the old one of two API secrets."""
    which = "new" if new else "old"
    told = client.ask("POST", account_path(api_key, "retire"), answers.changed(api_key), {"secret": which})
    _done(told, as_json, f"{api_key} has its {which} secret no longer.")


@account.command()
@_key
@click.option("--yes", is_flag=True, help="Do not ask.")
@_as_json
@_asks
def remove(client: AdminClient, api_key: str, yes: bool, as_json: bool) -> None:
    """Remove an account. Its pages do not come back."""
    if not yes:
        click.confirm(f"Remove the account {api_key} for good?", abort=True, err=True)
    told = client.ask("DELETE", account_path(api_key), answers.changed(api_key))
    _done(told, as_json, f"{api_key} was removed.")


@account.command()
@click.option("--drop", is_flag=True, help="Let any number of accounts go.")
@_as_json
@_asks
def reload(client: AdminClient, drop: bool, as_json: bool) -> None:
    """Have one node read its configuration file again, and tell what has changed."""
    told = client.ask("POST", "/reload", answers.reloaded, {"drop": drop})
    changed = [f"{key} ({', '.join(names)})" for key, names in told["changed"].items()]
    lists = (("came", told["came"]), ("changed", changed), ("gone", told["gone"]))
    lines = [f"{word}: {', '.join(keys)}" for word, keys in lists if keys]
    _done(told, as_json, "\n".join(map(escaped, lines)) or "No account has changed.")


def _change(client: AdminClient, api_key: str, action: str) -> answers.Told:
    return client.ask("POST", account_path(api_key, action), answers.changed(api_key))


def _done(told: object, as_json: bool, line: str) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(line)
