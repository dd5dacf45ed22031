"""The URL of a server and its account. Listeners may leave the API secret out."""

import attrs
import click

from cometify.client.address import Address, read_url
from cometify.client.errors import CometifyError


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
