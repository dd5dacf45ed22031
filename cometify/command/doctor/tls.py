"""The certificate of a server, as a browser judges it."""

from datetime import UTC, datetime
from typing import Any

import attrs
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.python.failure import Failure
from zope.interface import implementer

from cometify.client.address import Address
from cometify.command.troubles import Trouble

SOON = 14
"""Days before the end of a certificate at which the warnings begin."""

_EXPIRED, _SELF_SIGNED = 10, 18
_ISSUER_UNKNOWN = (2, 20, 21)
"""Error numbers of OpenSSL: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and its two variants."""


@attrs.frozen
class Certificate:
    """`errors`: the numbers of OpenSSL's complaints. `length`: certificates that the server sends."""

    errors: frozenset[int]
    length: int
    fits_the_name: bool
    days_left: int

    def check(self, host: str) -> None:
        """Raise `Trouble` for the worst fault."""
        trouble = self._trouble(host)
        if trouble is not None:
            raise trouble

    def _trouble(self, host: str) -> Trouble | None:
        if _EXPIRED in self.errors:
            return Trouble("tls_expired", "The certificate has expired.")
        if _SELF_SIGNED in self.errors:
            return Trouble("tls_untrusted", "The certificate is signed by itself.")
        if self.errors.intersection(_ISSUER_UNKNOWN) and self.length == 1:
            return Trouble("tls_chain", "The server sends its certificate without the chain of its authority.")
        if self.errors:
            return Trouble(
                "tls_untrusted", "The certificate is signed by an authority that this machine does not trust."
            )
        if not self.fits_the_name:
            return Trouble("tls_name", f"The certificate is not for {host}.")
        return None


@implementer(IOpenSSLClientConnectionCreator)
class _Tolerant:
    """Makes connections that note the errors of a certificate and go on."""

    def __init__(self, address: Address) -> None:
        self.errors: set[int] = set()
        self._host = address.host
        self._context = CertificateOptions(trustRoot=platformTrust()).getContext()
        self._context.set_verify(SSL.VERIFY_PEER, self._note)

    def clientConnectionForTLS(self, _protocol: object) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not _is_address(self._host):
            connection.set_tlsext_host_name(self._host.encode())
        return connection

    def _note(self, _connection: object, _certificate: object, error: int, _depth: int, is_good: int) -> bool:
        if not is_good:
            self.errors.add(error)
        return True


@implementer(IHandshakeListener)
class _Look(Protocol):
    def __init__(self) -> None:
        self.done: Deferred[Any] = Deferred()

    def handshakeCompleted(self) -> None:
        done, self.done = self.done, Deferred()
        transport: Any = self.transport
        done.callback(transport.getHandle())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.done.called:
            self.done.addErrback(lambda _failure: None)
            self.done.errback(reason)


async def look_at_certificate(address: Address, reactor: Any, patience: float) -> Certificate:
    """Connect and disconnect. Raises the error of the connection."""
    tolerant, look = _Tolerant(address), _Look()
    done = look.done
    endpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=patience)
    await connectProtocol(wrapClientTLS(tolerant, endpoint), look)
    connection = await done.addTimeout(patience, reactor)
    try:
        certificate = connection.get_peer_certificate().to_cryptography()
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        return Certificate(
            frozenset(tolerant.errors),
            len(connection.get_peer_cert_chain()),
            _fits(connection, address.host),
            left.days,
        )
    finally:
        assert look.transport is not None
        look.transport.loseConnection()


def _fits(connection: SSL.Connection, host: str) -> bool:
    try:
        (verify_ip_address if _is_address(host) else verify_hostname)(connection, host)
    except (CertificateError, VerificationError):
        return False
    return True


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
