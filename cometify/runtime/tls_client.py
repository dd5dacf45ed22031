"""TLS to servers that the certificates of this machine's authorities verify."""

from twisted.internet._sslverify import ClientTLSOptions
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust


class VerifiedTLS:
    """The TLS side of outgoing connections. All share one context.

    `optionsForClientTLS` makes a context for each host. To read the authorities into it takes 5 ms and 900 KB, each time.
    """

    def __init__(self) -> None:
        self._options: CertificateOptions | None = None

    def to(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Verify that a server has a certificate for this host."""
        if self._options is None:
            self._options = CertificateOptions(trustRoot=platformTrust(), raiseMinimumTo=TLSVersion.TLSv1_2)
        return ClientTLSOptions(self._options.clientConnectionForTLS, host)
