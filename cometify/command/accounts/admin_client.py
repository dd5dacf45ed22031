"""Requests to the admin endpoint, by the standard library. No event loop is imported."""

import json
import os
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import click

from cometify.command import exit_status
from cometify.config.endpoint_url import url_of
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import load

DEFAULT_URL = "http://127.0.0.1:8082"
URL_VARIABLE, TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = (
    "COMETIFY_ADMIN",
    "COMETIFY_ADMIN_TOKEN",
    "COMETIFY_ADMIN_TOKEN_FILE",
)
_WITHIN = 10.0
"""Seconds that a connection and each read may take."""
_MOST_BYTES = 64 << 20
"""Bytes of an answer. A page of 1,000 accounts has less: the settings of each are one body of at most 64 KiB."""


class AdminError(click.ClickException):
    """An error with an exit status of its own. `code`: the code of the server's problem document, or empty."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc] # click has it as an attribute of the class
        self.code = code


@attrs.frozen
class AdminClient:
    """`url`: the admin endpoint. `token`: None if it asks for none."""

    url: str
    token: str | None = attrs.field(default=None, repr=False)

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
        return cls(url.rstrip("/"), os.environ.get(TOKEN_VARIABLE) or _token(token_file))

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        """Send a request, and return the JSON of its answer. Raises `AdminError`."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        text = None if body is None else json.dumps(body).encode()
        try:
            connection = self._connection()
            try:
                connection.request(method, f"{urlsplit(self.url).path}{path}", text, sent)
                with connection.getresponse() as answer:
                    status, content = answer.status, answer.read(_MOST_BYTES + 1)
            finally:
                connection.close()
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AdminError(
                f"{self.url} does not answer: {reason}. Give the server's admin endpoint with --admin URL.",
                exit_status.UNREACHABLE,
            ) from None
        if len(content) > _MOST_BYTES:
            raise AdminError(
                f"{self.url} is not an admin endpoint of Cometify: its answer has more than {_MOST_BYTES} bytes.",
                exit_status.REFUSED,
            )
        return self._read(status, content)

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.ClickException(f"{self.url} is not the URL of an admin endpoint: write http://127.0.0.1:8082.")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname, parts.port, timeout=_WITHIN)

    def _read(self, status: int, content: bytes) -> Any:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise AdminError(
                f"{self.url} is not an admin endpoint of Cometify: it answers {status}.", exit_status.REFUSED
            )
        if status >= 400:
            code = str(document.get("code", ""))
            later = exit_status.UNREACHABLE if status >= 500 else exit_status.REFUSED
            raise AdminError(str(document.get("detail", f"The answer is {status}.")), later, code)
        return document


def account_path(api_key: str, action: str = "") -> str:
    """The path of an account, or of one of its actions."""
    return f"/accounts/{quote(api_key, safe='')}{action and f'/{action}'}"


def _read(config: str | None) -> Settings:
    try:
        return load(config, {})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def _token(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: the admin token cannot be read ({error}).") from None
