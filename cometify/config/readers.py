"""Readers: each takes one value as TOML has it and returns the value of a setting.

A reader raises `ValueError` for a value that cannot be used. The message continues "KEY: ", so it begins in lower case
and ends without a full stop.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from cometify.core.identifier import EXTENDED, SPELLINGS

Reader = Callable[[object], Any]
"""Any, because the value becomes a field of `Settings` or `Account`, each with a type of its own."""
Network = IPv4Network | IPv6Network

RESERVED = ("account", "docs", "latest", "page")
"""First path segments of the server's own. None of them can be an API key."""
PLACEHOLDERS = ("…", "...", "YOUR_API_SECRET")
"""Secrets as the examples in the documentation spell them."""
MAKE_SECRET = "make one with: openssl rand -base64 24"  # noqa: S105 - advice

_API_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ORIGIN = re.compile(r"https?://[^/?#\s]+|null")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_WEBHOOK = re.compile(r"https?://[!-\"$-~]{1,2000}")
_NO_LIMIT = 2**62


def whole_number(lowest: int, highest: int = _NO_LIMIT) -> Callable[[object], int]:
    """Make a reader of integers from `lowest` to `highest`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            limits = f"from {lowest} to {highest}" if highest < _NO_LIMIT else f"of at least {lowest}"
            raise ValueError(f"must be a whole number {limits}")
        return value

    return read


def share(value: object) -> float:
    """Read a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def collector(value: object) -> str:
    """Read the URL of a collector of OpenTelemetry."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError('must be the URL of a collector that takes OTLP over HTTP, such as "http://127.0.0.1:4318"')
    return parts.geturl()


def truth(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - like those of all readers
    return value


def text(value: object) -> str:
    """Read a string with at least one character."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string that is not empty")
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, from JSON or from a variable that has other bytes than UTF-8
        raise ValueError("must be text that UTF-8 can encode") from None
    return value


def texts(fewest: int, most: int = 1000) -> Callable[[object], tuple[str, ...]]:
    """Make a reader of arrays with `fewest` to `most` strings."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            raise ValueError(f"must be an array of {fewest} to {most} strings")
        return tuple([text(item) for item in value])

    return read


def secret(value: object) -> str:
    """Read an API secret. Refuses the placeholders of the documentation.

    A control character is refused too, because nobody means it: it comes from a binary file, or a mistake in quoting.
    """
    read = text(value)
    if _CONTROL.search(read):
        raise ValueError(f"must not have control characters, such as NUL or a tab: {MAKE_SECRET}")
    if read in PLACEHOLDERS:
        raise ValueError(f'"{read}" is a placeholder: {MAKE_SECRET}')
    return read


def secrets(value: object) -> tuple[str, ...]:
    """Read one API secret or two."""
    return tuple([secret(item) for item in texts(1, 2)(value)])


def api_key(value: object) -> str:
    """Read an API key. The seed writes keys as numbers, so the message shows one in quotes."""
    if not isinstance(value, str) or not _API_KEY.fullmatch(value):
        raise ValueError('must be a string of 1 to 64 of A-Z, a-z, 0-9, _ and -, for example "37282591"')
    if value in RESERVED:
        raise ValueError(f'"{value}" is a path of the server itself; choose another key')
    return value


def host_names(value: object) -> tuple[str, ...]:
    """Read an array of host names, without ports."""
    read = texts(0)(value)
    for name in read:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f'"{name}" is not a host name: write it without a port, for example "node1.example.org"')
    return read


def networks(value: object) -> tuple[Network, ...]:
    """Read an array of IP addresses and networks."""
    try:
        return tuple([ip_network(item, strict=False) for item in texts(0)(value)])
    except ValueError as error:
        raise ValueError(f"must be an array of addresses or networks ({error})") from None


def origins(value: object) -> tuple[str, ...]:
    """Read an array of web origins (RFC 6454), or "null" for pages that have none."""
    read = texts(1)(value)
    for origin in read:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f'"{origin}" is not an origin: write scheme and host, for example "https://www.example.org"'
            )
    return read


def webhook(value: object) -> str:
    """Read the URL of a webhook. No message repeats it, because its query may hold a secret."""
    read = text(value)
    try:
        url = urlsplit(read)
        is_one = bool(_WEBHOOK.fullmatch(read) and url.hostname) and url.port != 0
    except ValueError:  # the port or the brackets of an address
        is_one = False
    if not is_one:
        raise ValueError(
            'must be a URL of printable ASCII without a fragment, such as "https://www.example.org/cometify"'
        )
    if url.username is not None:
        raise ValueError("must not have a user or a password: each request is signed with the API secret")
    return read


def names_or_prefixes(value: object) -> tuple[str, ...]:
    """Read an array of identifiers and prefixes, in lower case. The caller checks the spelling that the account allows."""
    read = texts(0, 100)(value)
    for name in read:
        if not EXTENDED.allows_prefix(name):
            raise ValueError(f'"{name}" is neither an identifier nor a prefix: write "orders" or "user_*"')
    return tuple([name.lower() for name in read])


def signatures(value: object) -> str:
    """Read how publishers must prove who they are."""
    if value not in ("any", "strong", "v2"):
        raise ValueError(
            'must be "any", "strong" to refuse the MD5 signature secure, or "v2" to require that pushes are signed with HMAC'
        )
    return str(value)


def log_format(value: object) -> str:
    """Read the form of the log."""
    if value not in ("text", "json"):
        raise ValueError('must be "text", or "json" for one JSON object a line')
    return str(value)


def spelling(value: object) -> str:
    """Read how the identifiers of an account may be spelled."""
    if value not in SPELLINGS:
        raise ValueError(
            'must be "plain", or "extended" to allow identifiers with dots and hyphens, up to 100 characters'
        )
    return str(value)
