"""The reasons why a webhook fails, in the words of this server.

A receiver may be a stranger's, and the log and the console are read by the operator. An exception of a parser holds what it has
read, so a reason never has the text of an exception. The names of exceptions and the words of OpenSSL are fixed.
"""

import re
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import defer, error

NO_SUCH_HOST = "its host is not a name that can exist"
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (defer.TimeoutError, "no answer within 10 seconds"),
    (error.TimeoutError, "no answer within 10 seconds"),
    (defer.CancelledError, "no answer within 10 seconds"),
    (error.DNSLookupError, "no name server knows an address of its host"),
    (error.ConnectError, "no connection to its host ({name})"),
    (SSL.Error, "TLS failed: {words}"),
    (VerificationError, "TLS failed: the certificate is for another name"),
    (UnicodeError, NO_SUCH_HOST),
    (BaseException, "the answer is not whole, or is not HTTP ({name})"),
)


def in_own_words(reason: BaseException) -> str:
    """Return the reason for an exception of a request."""
    name = type(reason).__name__
    text = next(text for kind, text in _WORDS if isinstance(reason, kind))
    return text.format(name=name, words=_words_of_openssl(reason) or name)


def _words_of_openssl(reason: BaseException) -> str:
    parts: list[Any] = [part for entry in reason.args[:1] if isinstance(entry, list) for part in entry[:1]]
    words = [str(part[-1]) for part in parts if isinstance(part, tuple) and part]
    return re.sub(r"[^A-Za-z0-9 ]", " ", " ".join(words))[:80]
