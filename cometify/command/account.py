"""The account of a command: that of a URL, or one of the configuration file."""

from typing import TypeVar
from urllib.parse import quote

import click

from cometify.client import Cometify
from cometify.client.address import ENVIRONMENT_VARIABLE, read_server, read_url
from cometify.client.errors import CometifyError
from cometify.command.server_url import ServerURL
from cometify.config.endpoint_url import url_of
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import load
from cometify.core.account import Account

C = TypeVar("C", bound=Cometify)
_URL_OPTION = "give --url https://KEY:SECRET@host"
_url_option = click.option(
    "--url",
    envvar=ENVIRONMENT_VARIABLE,
    help="The account: https://KEY:SECRET@host. Default: the variable COMETIFY_URL, then the configuration file.",
)
_config_option = click.option("--config", help="The configuration file. Default: cometify.toml")
_api_key_option = click.option("--api-key", help="The account of the configuration file, if it has several.")


def with_file_options(command: click.decorators.FC) -> click.decorators.FC:
    """Give a command the options `config` and `api_key`."""
    return _config_option(_api_key_option(command))


def with_account_options(command: click.decorators.FC) -> click.decorators.FC:
    """Give a command the options `url`, `config` and `api_key`."""
    return _url_option(with_file_options(command))


def with_server_argument(command: click.decorators.FC) -> click.decorators.FC:
    """Give a command the options of `with_account_options`, and the argument `server`, which is another way to give the URL."""
    return click.argument("server", metavar="[URL]", required=False)(with_account_options(command))


def find_account(url: str | None, config: str | None, api_key: str | None) -> Account:
    """Find the account. Raises `ClickException`, which never repeats a secret."""
    if url and config is None:
        try:
            address = read_url(url)
        except CometifyError as error:
            raise click.ClickException(error.detail) from None
        return Account(address.api_key, (address.api_secret,), identifiers="extended")
    return _account_of(_read(config), api_key)


def find_client(url: str | None, config: str | None, api_key: str | None, timeout: float) -> Cometify:
    """See `find_client_of`."""
    return find_client_of(Cometify, url, config, api_key, timeout)


def find_client_of(kind: type[C], url: str | None, config: str | None, api_key: str | None, timeout: float) -> C:
    """Make a client of the account, of a subclass of `Cometify`.

    Its server is that of the URL, or the one that the configuration file starts here.

    Raises `ClickException`, which never repeats a secret.
    """
    try:
        if url and config is None:
            return kind.from_url(url, timeout=timeout)
        server, account = _server_and_account(config, api_key)
        return kind(server, account.api_key, account.api_secrets[0], timeout=timeout)
    except CometifyError as error:
        raise click.ClickException(error.detail) from None


def find_server(url: str | None, config: str | None, api_key: str | None) -> ServerURL:
    """Find the server and the account of a command that listens. The URL may leave the API secret out.

    Raises `ClickException`, which never repeats a secret.
    """
    if url and config is None:
        return ServerURL.read(url)
    server, account = _server_and_account(config, api_key)
    try:
        return ServerURL(read_server(server, account.api_key, account.api_secrets[0]))
    except CometifyError as error:
        raise click.ClickException(error.detail) from None


def find_examined(server: str | None, url: str | None, config: str | None, api_key: str | None) -> ServerURL:
    """Find the server and the account of a command that has `with_server_argument`. See `find_server`."""
    if server is not None and config is not None:
        raise click.UsageError("Give either a URL or --config, because the file has a server and an account too.")
    return find_server(url if server is None else server, config, api_key)


def find_url(config: str | None, api_key: str | None) -> str:
    """Make the URL of an account of the configuration file, with its secret. Raises `ClickException`."""
    server, account = _server_and_account(config, api_key, url_option="write https://KEY:SECRET@host yourself")
    scheme, _, host = server.partition("://")
    return f"{scheme}://{account.api_key}:{quote(account.api_secrets[0], safe='')}@{host}"


def _server_and_account(config: str | None, api_key: str | None, url_option: str = _URL_OPTION) -> tuple[str, Account]:
    settings = _read(config, url_option)
    account = _account_of(settings, api_key)
    server = next(filter(None, map(url_of, settings.http)), None)
    if server is None:
        raise click.ClickException(f"The configuration file has no http port with a number: {url_option}.")
    return server, account


def _read(config: str | None, url_option: str = _URL_OPTION) -> Settings:
    try:
        settings = load(config, {})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    if settings.made_up:
        raise click.ClickException(
            f"There is no cometify.toml here: {url_option}, or give --config FILE. cometify init writes cometify.toml."
        )
    return settings


def _account_of(settings: Settings, api_key: str | None) -> Account:
    found = [account for account in settings.accounts if api_key in (None, account.api_key)]
    if len(found) != 1:
        known = ", ".join(account.api_key for account in settings.accounts)
        raise click.ClickException(f"Give --api-key with one of the accounts: {known}")
    return found[0]
