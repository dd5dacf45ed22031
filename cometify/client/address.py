"""The URL of an account: `https://KEY:SECRET@push.example.org`. Every program that pushes reads it here."""

import os
import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .errors import INVALID_URL, CometifyError

ENVIRONMENT_VARIABLE = "COMETIFY_URL"
"""The environment variable with the URL. It is read if no URL is given."""
_FORM = "https://KEY:SECRET@push.example.org"
_ENCODE = "In the secret, percent-encode / ? # [ ] and %"
_PORTS = {"http": 80, "https": 443}
_API_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?", re.IGNORECASE)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """The server and the account that a program pushes to.

    `scheme`: http or https. `host`: a name or an IP address, without brackets. `prefix`: the path below which a proxy has
    the server, such as `/push`, or empty. `api_secret`: empty if the program only listens. `bearer`: send the API secret
    itself instead of signatures.
    """

    scheme: str
    host: str
    port: int
    prefix: str
    api_key: str
    api_secret: str = field(repr=False)
    bearer: bool = False

    def __post_init__(self) -> None:
        if not _API_KEY.fullmatch(self.api_key):
            raise _invalid("The API key has 1 to 64 letters, digits, _ and -")
        _check_utf8(self.api_secret)
        if self.bearer:
            self._check_bearer()

    @property
    def origin(self) -> str:
        """The scheme, the host and the port, without the port that the scheme has by default."""
        return f"{self.scheme}://{self.authority}"

    @property
    def server(self) -> str:
        """The URL without the account."""
        return f"{self.origin}{self.prefix}"

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """True if requests do not leave this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def _check_bearer(self) -> None:
        if self.scheme == "http" and not self.is_loopback:
            raise _invalid(
                f"The API secret itself is not sent to {self.origin}, because others can read it on the way. Use https, "
                "or leave bearer out: then requests are signed"
            )
        if (
            not (self.api_secret.isascii() and self.api_secret.isprintable())
            or self.api_secret != self.api_secret.strip()
        ):
            raise _invalid(
                "This API secret cannot stand in a header, because it has characters that are not printable ASCII. Leave "
                "bearer out: then requests are signed"
            )


def read_url(url: str, *, bearer: bool = False, needs_secret: bool = True) -> Address:
    """Read the URL of an account. Raises `CometifyError` (invalid_url), which never repeats the secret.

    The characters `/ ? # [ ] %` of a secret must be percent-encoded, and others may be. With `?bearer=1` the API secret
    itself is sent instead of signatures. `needs_secret`: False for programs that only listen, whose URL may be https://KEY@host.
    """
    parts = _split(url)
    if not parts.username or (needs_secret and not parts.password):
        raise _invalid(f"The URL must have the account: {_FORM}. {_ENCODE}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    chosen = options.pop("bearer", "1" if bearer else "0")
    if options or chosen not in ("0", "1"):
        raise _invalid("Behind a question mark, the URL can have bearer=1 and nothing else")
    return _address(parts, _decoded(parts.username), _decoded(parts.password or ""), chosen == "1")


def read_given_url(url: str | None, *, bearer: bool = False) -> Address:
    """Read a URL, or that of the environment if it is None. Raises `CometifyError` (invalid_url)."""
    found = os.environ.get(ENVIRONMENT_VARIABLE) if url is None else url
    if not found:
        raise _invalid(f"There is no URL: give one, or set {ENVIRONMENT_VARIABLE} to {_FORM}")
    return read_url(found, bearer=bearer)


def read_server(server: str, api_key: str, api_secret: str, *, bearer: bool = False) -> Address:
    """Read the URL of a server, for an account that is known. Raises `CometifyError` (invalid_url)."""
    parts = _split(server)
    if parts.username is not None or parts.query:
        raise _invalid("The URL of the server must have no account and no question mark: https://push.example.org")
    if not api_secret:
        raise _invalid("The API secret is empty")
    return _address(parts, api_key, api_secret, bearer)


def read_public_server(url: str | None, server: str) -> str:
    """Return the URL at which browsers reach the server: `url`, or `server` if it is None. Raises `CometifyError`."""
    if url is None:
        return server
    parts = _split(url)
    if parts.username is not None or parts.query:
        raise _invalid("The public URL must have no account and no question mark: https://push.example.org")
    return _address(parts, "public", "", bearer=False).server


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The message of urllib may have a part of the secret.
        raise _invalid(f"The URL cannot be read: write {_FORM}. {_ENCODE}") from None
    if parts.scheme not in _PORTS:
        raise _invalid(f"The URL must begin with https:// or http://, such as {_FORM}")
    return parts


def _address(parts: SplitResult, api_key: str, api_secret: str, bearer: bool) -> Address:
    prefix = parts.path.rstrip("/")
    if parts.fragment or not _PREFIX.fullmatch(prefix):
        raise _invalid(f"The path of the URL cannot be used: write {_FORM}, or https://…/push for a server below /push")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return Address(parts.scheme, _host(parts.hostname or ""), port, prefix, api_key, api_secret, bearer)


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        # A replacement character in the secret would make each signature wrong.
        raise _invalid("The percent-encoded characters of the API key and the API secret must be UTF-8") from None


def _host(host: str) -> str:
    if ":" in host:
        try:
            return str(IPv6Address("" if "%" in host else host))  # a zone has no place in the header Host
        except ValueError:
            host = ""
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise _invalid(f"The URL has no host name that can be used: write {_FORM}")
    return name


def _check_utf8(api_secret: str) -> None:
    try:
        api_secret.encode()
    except UnicodeEncodeError:
        raise _invalid("The API secret is not UTF-8") from None


def _invalid(detail: str) -> CometifyError:
    return CometifyError(INVALID_URL, f"{detail}.")
