"""Faults of a server's certificates that clients will notice: the end of their life, and a chain that is not whole."""

import ssl
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
from cryptography import x509
from twisted.logger import Logger

log = Logger()

SOON = 14 * 86_400
"""Seconds before the end of a certificate at which the warnings begin."""
REMIND_EVERY = 86_400
"""Seconds between two lines of the log about one endpoint."""


@attrs.frozen
class Validity:
    """`not_after`: the Unix time at which the first of the certificates expires. `issuer`: the authority whose certificate is
    missing, None if the chain is whole.
    """

    not_after: float
    issuer: str | None

    def faults(self, now: float) -> list[str]:
        """The faults that the operator must mend, each as a part of a sentence. `now`: Unix time."""
        found = []
        end = f"{datetime.fromtimestamp(self.not_after, UTC):%Y-%m-%d %H:%M} UTC"
        left = self.not_after - now
        if left <= 0:
            found.append(f"expired at {end}, and clients refuse it: renew it")
        elif left < SOON:
            found.append(f"expires at {end}, in {left / 86_400:.1f} days: renew it")
        if self.issuer is not None:
            found.append(
                f"lacks its chain, and many clients refuse it: add the certificate of its authority ({self.issuer}), as in "
                "the file fullchain.pem of certbot"
            )
        return found


def validity_of(served: Sequence[x509.Certificate]) -> Validity:
    """Judge the certificates that a server sends, its own first."""
    not_after = min(certificate.not_valid_after_utc.timestamp() for certificate in served)
    return Validity(not_after, _missing_issuer(served))


def _missing_issuer(served: Sequence[x509.Certificate]) -> str | None:
    """Follow the issuers from the server's own certificate on. Clients have those of the authorities at the end."""
    by_subject = {certificate.subject: certificate for certificate in served[1:]}
    last = served[0]
    while last.issuer in by_subject:
        last = by_subject.pop(last.issuer)
    if last is not served[0] or last.issuer == last.subject or last.issuer in _authorities():
        return None
    return last.issuer.rfc4514_string()


def _authorities() -> set[x509.Name]:
    """The names of the authorities that this machine trusts."""
    trusted: list[Any] = ssl.create_default_context().get_ca_certs(binary_form=True)
    names = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some authorities are old, and have numbers that are no longer allowed.
        for certificate in trusted:
            try:
                names.add(x509.load_der_x509_certificate(certificate).subject)
            except ValueError:
                continue  # one that is malformed helps no client
    return names


class Reminder:
    """Logs the fault of an endpoint's certificates once a day while they expire soon, or have expired."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._said_at: float | None = None

    def remind(self, validity: Validity, now: float) -> None:
        """Log the fault if it was not logged within a day. `now`: Unix time."""
        if validity.not_after - now >= SOON:
            self._said_at = None
        elif self._said_at is None or not 0 <= now - self._said_at < REMIND_EVERY:
            self._said_at = now
            log.warn(  # noqa: G010 - Twisted's warn is not deprecated.
                "The certificate of {endpoint} {fault}. See docs/tls.md.",
                endpoint=self._endpoint,
                fault=validity.faults(now)[0],
            )
