"""Requests to the admin endpoint, by the client's own connections. No event loop is imported."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import attrs
import click

from cometify.client.address import Address, read_server
from cometify.client.connections import Connections
from cometify.client.errors import CometifyError
from cometify.client.tries import Answer, NoAnswer, Request
from cometify.command import exit_status
from cometify.config.endpoint_url import url_of
from cometify.config.named_files import MOST_SECRETS, read_at_most
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import load

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8082"
URL_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = (
    "COMETIFY_ADMIN",
    "COMETIFY_ADMIN_TOKEN",
    "COMETIFY_ADMIN_TOKEN_FILE",
)
WITHIN = 20.0
"""Seconds that a request may take, with its whole answer."""
ALL_WITHIN = 60.0
"""Seconds that all requests of a command may take together. A list of accounts is asked for by the page."""
_PERHAPS = " The change may have been made: see `cometify account list`."
_OTHER_SHAPE = (KeyError, TypeError, ValueError, OverflowError)
"""Errors of readers of an answer that is none of Cometify's."""


class AdminError(click.ClickException):
    """An error with an exit status of its own. `code`: the code of the server's problem document, or empty."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc] # click has it as an attribute of the class
        self.code = code


@attrs.define
class AdminClient:
    """`url`: the admin endpoint. `token`: None if it asks for none."""

    url: str
    token: str | None = attrs.field(default=None, repr=False)
    _until: float | None = None

    @classmethod
    def find(cls, url: str | None, token_file: str | None, config: str | None) -> "AdminClient":
        """Find the endpoint and the token: those that are given, else those of the configuration file.

        Raises `ClickException`.
        """
        settings = None if url and config is None else _read(config)
        if settings is not None and (url is None or config is not None):
            url = DEFAULT_URL if settings.made_up else url_of(settings.admin)
            token_file = token_file or settings.admin_token_file
        if url is None:
            raise click.ClickException("The admin endpoint of the configuration file has no port: give --admin URL.")
        return cls(url.rstrip("/"), _token(token_file))

    def ask(
        self,
        method: str,
        path: str,
        read: Callable[[dict[str, Any]], T],
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> T:
        """Send a request, and return what `read` makes of the JSON object of its answer. Raises `AdminError`.

        `read` raises KeyError, TypeError, ValueError or OverflowError for an answer that is none of Cometify's.
        """
        address = self._address()
        sent = {"Host": address.authority, "Content-Type": "application/json", "Connection": "close", **(headers or {})}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        text = b"" if body is None else json.dumps(body).encode()
        request = Request(method, f"{address.prefix}{path}", sent, text, self._patience())
        reply = Connections(address).exchange(request)
        if isinstance(reply, NoAnswer):
            raise self._silent(reply, method)
        return self._read(reply, read, method)

    def _patience(self) -> float:
        """The seconds that the next request may take."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + ALL_WITHIN
        return max(0.0, min(WITHIN, self._until - now))

    def _address(self) -> Address:
        try:
            return read_server(self.url, "admin", "unused")
        except CometifyError:
            raise click.ClickException(
                f"{self.url} is not the URL of an admin endpoint: write http://127.0.0.1:8082."
            ) from None

    def _silent(self, reply: NoAnswer, method: str) -> AdminError:
        if not reply.sent:
            told = f"{self.url} does not answer: {reply.reason}. Give the server's admin endpoint with --admin URL."
        elif method == "GET":
            told = (
                f"{self.url} gives no whole answer: {reply.reason}. Give the server's admin endpoint with --admin URL."
            )
        else:
            told = f"{self.url} has the request and gives no whole answer: {reply.reason}.{_PERHAPS}"
        return AdminError(told, exit_status.UNREACHABLE)

    def _read(self, answer: Answer, read: Callable[[dict[str, Any]], T], method: str) -> T:
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if answer.status >= 400 and isinstance(document, dict):
            code = str(document.get("code", ""))
            later = exit_status.UNREACHABLE if answer.status >= 500 else exit_status.REFUSED
            raise AdminError(str(document.get("detail", f"The answer is {answer.status}.")), later, code)
        if answer.status in (200, 201) and isinstance(document, dict):
            try:
                return read(document)
            except _OTHER_SHAPE:
                pass
        raise AdminError(
            f"{self.url} is not an admin endpoint of Cometify: it answers {answer.status}, with something else. Give the "
            f"server's admin endpoint with --admin URL.{'' if method == 'GET' else _PERHAPS}",
            exit_status.REFUSED,
        )


def account_path(api_key: str, action: str = "") -> str:
    """The path of an account, or of one of its actions."""
    return f"/accounts/{quote(api_key, safe='', errors='surrogateescape')}{action and f'/{action}'}"


def _read(config: str | None) -> Settings:
    try:
        return load(config, {})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _token(path: str | None) -> str | None:
    """Find the token: that of the environment, else that of the file. Raises `ClickException`, which never repeats it."""
    token, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    if not token:
        if path is None:
            return None
        source = path
        try:
            token = read_at_most(Path(path), MOST_SECRETS).decode().strip()
        except (OSError, ValueError) as error:
            raise click.ClickException(f"{path}: the admin token cannot be read ({error}).") from None
    if not (token.isascii() and token.isprintable()):
        raise click.ClickException(f"{source}: the admin token must be one line of printable ASCII characters.")
    return token
