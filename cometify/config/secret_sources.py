"""Secrets that stand outside the file of settings: in files of their own, or in environment variables.

The readers return the secret itself, so that nothing behind them knows where it stood. A relative path begins at the current
folder. No message repeats a secret.
"""

import os
from pathlib import Path

from cometify.config import readers
from cometify.config.named_files import MOST_SECRETS, read_regular
from cometify.config.redis_url import RedisURL, read_redis_url, read_redis_urls

SHORT_TOKEN = 16
"""Characters. A shorter admin token can be guessed."""


def _content(value: object) -> str:
    """The text of a file without the end of its last line. Raises `ValueError`."""
    path = Path(readers.text(value))
    try:
        content = read_regular(path, MOST_SECRETS).decode().replace("\r\n", "\n").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: must be UTF-8") from None
    if not content:
        raise ValueError(f"{path}: must not be empty")
    return content


def _one_line(value: object) -> str:
    content = _content(value)
    if "\n" in content:
        raise ValueError(f"{value}: must have one line")
    return content


def _variable(value: object) -> str:
    name = readers.text(value)
    found = os.environ.get(name)
    if not found:
        raise ValueError(f"the environment variable {name} must be set, and must not be empty")
    return found


def secret_of_file(value: object) -> str:
    """Read the path of a file that holds one API secret."""
    return readers.secret(_one_line(value))


def secrets_of_file(value: object) -> tuple[str, ...]:
    """Read the path of a file that holds one API secret or two, each on a line of its own."""
    lines = _content(value).split("\n")
    if len(lines) > 2:
        raise ValueError(f"{value}: must have one line or two")
    return readers.secrets(lines)


def secret_of_variable(value: object) -> str:
    """Read the name of an environment variable that holds one API secret."""
    return readers.secret(_variable(value))


def redis_of_file(value: object) -> RedisURL:
    """Read the path of a file that holds the URL of Redis, with its password, or a list of such paths."""
    return read_redis_urls(value, lambda path: read_redis_url(_one_line(path)))


def redis_of_variable(value: object) -> RedisURL:
    """Read the name of an environment variable that holds the URL of Redis, with its password, or a list of such names."""
    return read_redis_urls(value, lambda name: read_redis_url(_variable(name)))


def admin_token(path: str) -> str:
    """Return the token of a file. Raises `ValueError`."""
    token = _one_line(path)
    if len(token) < SHORT_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"{path}: must hold a token of at least {SHORT_TOKEN} printable ASCII characters; make one with: "
            "openssl rand -hex 32"
        )
    return token


def admin_token_file(value: object) -> str:
    """Read the path of a file that holds a token, and check the token. The path is kept, because the token may change."""
    path = readers.text(value)
    admin_token(path)
    return path
