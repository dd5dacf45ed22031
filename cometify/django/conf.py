"""The settings of Django that this app reads.

`COMETIFY_URL` is enough. `COMETIFY` is for more, and then has the URL too:

    COMETIFY = {"URL": "http://KEY:SECRET@cometify:8081", "PUBLIC_URL": "https://push.example.org", "TIMEOUT": 2}

Without a URL in the settings, the environment variable COMETIFY_URL has it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from cometify.client import Cometify, CometifyError
from cometify.client.address import read_public_server
from cometify.client.tries import DEFAULT_TIMEOUT

KEYS = ("URL", "PUBLIC_URL", "TIMEOUT", "PINNED")
"""The keys of `COMETIFY`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, checked. `server`: the URL for browsers. `pinned`: see `script_tag`."""

    client: Cometify
    server: str
    pinned: bool


def client() -> Cometify:
    """Return the client of this project. Threads share it. Raises ImproperlyConfigured."""
    return configuration().client


@cache
def configuration() -> Configuration:
    """Read the settings. Raises ImproperlyConfigured, which says what to do and never repeats the secret."""
    given = getattr(settings, "COMETIFY", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured('COMETIFY must be a dict, such as {"URL": "https://KEY:SECRET@push.example.org"}.')
    unknown = sorted(set(given) - set(KEYS), key=str)
    if unknown:
        raise ImproperlyConfigured(
            f"COMETIFY has the key {unknown[0]!r}, which is unknown: it can have {', '.join(KEYS)}."
        )
    return _configuration(given)


def _configuration(given: Mapping[str, Any]) -> Configuration:
    alone = getattr(settings, "COMETIFY_URL", None)
    if alone is not None and "URL" in given:
        raise ImproperlyConfigured('COMETIFY_URL and COMETIFY["URL"] are both set: remove one of them.')
    if not isinstance(alone, str | None):
        raise ImproperlyConfigured('COMETIFY_URL must be a string: "https://KEY:SECRET@push.example.org".')
    for name in ("URL", "PUBLIC_URL"):
        if not isinstance(given.get(name, ""), str):
            raise ImproperlyConfigured(f'COMETIFY["{name}"] must be a string, such as "https://push.example.org".')
    timeout = given.get("TIMEOUT", DEFAULT_TIMEOUT)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ImproperlyConfigured('COMETIFY["TIMEOUT"] must be a number of seconds above 0.')
    pinned = given.get("PINNED", True)
    if not isinstance(pinned, bool):
        raise ImproperlyConfigured('COMETIFY["PINNED"] must be True or False.')
    with _named('COMETIFY["URL"]' if "URL" in given else "COMETIFY_URL"):
        made = Cometify.from_url(given.get("URL", alone), timeout=timeout)
    with _named('COMETIFY["PUBLIC_URL"]'):
        return Configuration(made, read_public_server(given.get("PUBLIC_URL"), made.server), pinned)


@contextmanager
def _named(setting: str) -> Iterator[None]:
    """Name the setting in which the client found something wrong."""
    try:
        yield
    except CometifyError as error:
        raise ImproperlyConfigured(f"{setting}: {error.detail}") from None


def _forget(*, setting: str, **_more: Any) -> None:
    if setting in ("COMETIFY", "COMETIFY_URL"):
        configuration.cache_clear()


setting_changed.connect(_forget)  # tests override settings
