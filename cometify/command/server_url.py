"""The URL of a server and its account. Listeners may leave the API secret out."""

import attrs
import click

from cometify.client.address import ENVIRONMENT_VARIABLE, Address, read_url
from cometify.client.errors import CometifyError


def with_url(command: click.decorators.FC) -> click.decorators.FC:
    """Give a command the argument `url`. The URL may also come from the option --url or from the environment."""
    named = click.option("--url", "named_url", envvar=ENVIRONMENT_VARIABLE, help="The same. Default: COMETIFY_URL")
    return click.argument("url", required=False)(named(command))


def chosen(url: str | None, named_url: str | None) -> "ServerURL":
    """Read the URL of a command that has `with_url`. Raises `ClickException`."""
    if url is None and named_url is None:
        raise click.UsageError("Give the URL of the server: https://KEY:SECRET@push.example.org, or set COMETIFY_URL.")
    return ServerURL.read(url or named_url or "")


@attrs.frozen
class ServerURL:
    """The server of a command that listens."""

    address: Address

    @classmethod
    def read(cls, url: str) -> "ServerURL":
        """Read `https://KEY:SECRET@push.example.org`. Raises `ClickException`, which never repeats a secret."""
        try:
            return cls(read_url(url, needs_secret=False))
        except CometifyError as error:
            raise click.ClickException(error.detail) from None

    @property
    def api_secret(self) -> str:
        """The API secret, empty if the URL has none."""
        return self.address.api_secret

    @property
    def is_tls(self) -> bool:
        """True for https."""
        return self.address.scheme == "https"

    @property
    def api_key(self) -> str:
        """The API key of the account."""
        return self.address.api_key

    @property
    def origin(self) -> str:
        """The URL without account and path. It can be shown to anybody."""
        return self.address.origin

    def path(self, rest: str) -> str:
        """The path of a request that belongs to the account."""
        return f"{self.address.prefix}/{self.api_key}/{rest}"
