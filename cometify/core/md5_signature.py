"""The seed's two MD5 formulas. Every comparison takes the same time whatever is compared.

MD5 is what the seed promises its users; what it is weak at is met elsewhere: NUL bytes in a text are refused before
a signature is looked at (length extension), and an accepted signature is remembered (the missing separator).
"""

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache


def md5hex(text: str) -> str:
    """The hex MD5 of the UTF-8 of `text`."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def secure(api_key: str, api_secret: str, identifier: str, text: str) -> str:
    """What signs a push: md5hex([API key] + md5hex([API secret]) + [identifier] + [text]), identifier as sent."""
    return md5hex(_secure_prefix(api_key, api_secret) + identifier + text)


@lru_cache(1024)
def _secure_prefix(api_key: str, api_secret: str) -> str:
    return api_key + md5hex(api_secret)


def secure_key(api_key: str, api_secret: str, names: str) -> str:
    """What lets a listener have secret pushes: md5hex([API key] + [API secret] + md5hex([identifiers, comma separated]))."""
    return md5hex(api_key + api_secret + md5hex(names))


def same(given: str, expected: Iterable[str]) -> bool:
    """Whether `given` is one of the hex digests `expected`; all are compared, in constant time. Case is not looked at."""
    if not given.isascii():
        return False  # no digest is, and compare_digest takes no such strings
    sent = given.lower()
    found = False
    for digest in expected:
        found |= hmac.compare_digest(sent, digest)
    return found
