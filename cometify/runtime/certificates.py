"""The certificates of a TLS port: read when the server starts, and again when the files change.

Connections that are open keep the certificate that they began with. New ones get the new one.

Twisted's `ssl:` endpoint reads its files once, and reads one certificate of the file `certKey`. `Certificates` replaces
its certificate, and reads the whole chain of a fullchain.pem.
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import attrs
from OpenSSL import SSL, crypto
from OpenSSL.crypto import X509, PKey
from twisted.internet import endpoints
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import AcceptableCiphers, Certificate, CertificateOptions, PrivateCertificate, TLSVersion
from twisted.logger import Logger
from zope.interface import implementer

from cometify.config.named_files import MOST_CERTIFICATES, read_regular
from cometify.runtime.certificate_faults import Reminder, Validity, validity_of

log = Logger()

CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""The ciphers of TLS 1.2: forward secrecy and authenticated encryption (RFC 9325, section 4.2). TLS 1.3 has no others."""
UNSUPPORTED = ("sslmethod", "dhParameters")
"""Parts of Twisted's `ssl:` that would choose versions and ciphers that nobody needs any longer."""
_ENCRYPTED = b"ENCRYPTED"
"""A part of the PEM header of every encrypted key, in the old and the new format."""
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

Version = tuple[tuple[int, int, int, int], ...]
"""The state of some files: device, inode, size and time of the last change of each."""


@attrs.frozen
class CertificateFiles:
    """The files that an `ssl:` endpoint names, and the endpoint, which log lines name.

    `chain`: further certificates between the server's and the authority's, None if `certificate` has all.
    """

    endpoint: str
    key: Path
    certificate: Path
    chain: Path | None = None

    def version(self) -> Version:
        """The state of the files, which changes with their content. Raises `OSError` if one is missing."""
        files = [file.stat() for file in (self.key, self.certificate, self.chain) if file is not None]
        return tuple((file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns) for file in files)

    def load(self) -> tuple[CertificateOptions, Validity]:
        """Read the files. Raises `OSError`, pyOpenSSL's errors and `ValueError`."""
        found: list[bytes] = _CERTIFICATE.findall(read_regular(self.certificate, MOST_CERTIFICATES))
        if not found:
            raise ValueError(f"{self.certificate} has no certificate in PEM")
        own, *chain = found
        if self.chain is not None:
            more = _CERTIFICATE.findall(read_regular(self.chain, MOST_CERTIFICATES))
            if not more:
                raise ValueError(f"{self.chain} has no certificate in PEM")
            chain += [certificate for certificate in more if certificate not in found]
        key = read_regular(self.key, MOST_CERTIFICATES)
        if _ENCRYPTED in key:
            # OpenSSL would ask for the passphrase at the terminal, and the server would wait for it.
            raise ValueError(
                f"{self.key} is encrypted, and nobody is there to give its passphrase: write it without one"
            )
        pair = PrivateCertificate.loadPEM(own + b"\n" + key)
        extra = [Certificate.loadPEM(one).original.to_cryptography() for one in chain]
        # pyOpenSSL's own types are deprecated as arguments of a context. Twisted passes on whatever it is given.
        options = CertificateOptions(
            privateKey=cast("PKey", pair.privateKey.original.to_cryptography_key()),
            certificate=cast("X509", pair.original.to_cryptography()),
            extraCertChain=cast("list[X509]", extra),
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
        )
        options.getContext()  # so that files which OpenSSL cannot use are found here and not by the first connection
        return options, validity_of([pair.original.to_cryptography(), *extra])


def read_authorities(file: Path) -> list[Certificate]:
    """Read the certificates of a file, which may hold keys and words as well.

    Raises `OSError`, pyOpenSSL's errors and `ValueError`.
    """
    found = _CERTIFICATE.findall(read_regular(file, MOST_CERTIFICATES))
    if not found:
        raise ValueError(f"{file} has no certificate in PEM")
    return [Certificate.loadPEM(one) for one in found]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """Makes the TLS side of new connections. `files`: see `CertificateFiles`. Raises what its `load` raises.

    `validity`: that of the certificates that new connections get.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._version = self._seen = files.version()
        self._options, self.validity = files.load()
        self._reminder = Reminder(files.endpoint)

    @property
    def endpoint(self) -> str:
        """The endpoint, as log lines and metrics name it."""
        return self._files.endpoint

    def remind(self, now: float) -> None:
        """Log once a day that the certificate expires soon. `now`: Unix time."""
        self._reminder.remind(self.validity, now)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        return self._options.serverConnectionForTLS(tlsProtocol)

    def poll(self) -> None:
        """Read the files again if they have changed, and have not changed since the last call.

        A program that renews a certificate writes several files one after the other. Read between two of them, the key
        would not belong to the certificate.
        """
        version = self._look()
        if version is None or version == self._version:
            return
        if version == self._seen:
            self.read_again()
        self._seen = version

    def _look(self) -> Version | None:
        try:
            return self._files.version()
        except OSError:
            return None  # It is being replaced. Its absence is logged at SIGHUP alone.

    def read_again(self) -> None:
        """Read the files again. Wrong ones change nothing and are logged."""
        version = self._look()
        try:
            self._options, self.validity = self._files.load()
        except Exception as error:  # noqa: BLE001 - Key formats fail with errors of many kinds.
            log.error(  # noqa: TRY400 - The line holds the reason, and a traceback would add nothing.
                "The certificates of {endpoint} cannot be read again: {reason}. The server keeps those that it has. Mend "
                "the files, and they are read again by themselves.",
                endpoint=self._files.endpoint,
                reason=in_words(error),
            )
        else:
            log.info("The certificates of {endpoint} were read again", endpoint=self._files.endpoint)
        self._version = version or self._version


def in_words(error: Exception) -> str:
    """The reason why certificates cannot be used."""
    if isinstance(error, (SSL.Error, crypto.Error)):
        return "privateKey, certKey and extraCertChain must be files in PEM"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error).rstrip(".")


def files_of(text: str) -> CertificateFiles | None:
    """The files that an endpoint in Twisted's syntax names, None if it is not TLS. Raises `ValueError`."""
    arguments, named = endpoints._parse(text)
    if "ssl" not in arguments:
        return None
    bound = inspect.signature(endpoints._parseSSL).bind(None, *arguments[arguments.index("ssl") + 1 :], **named)
    bound.apply_defaults()
    return _files(bound.arguments)


def _files(arguments: Mapping[str, Any]) -> CertificateFiles:
    for name in UNSUPPORTED:
        if arguments[name] is not None:
            raise ValueError(f"leave {name} out: TLS 1.2 and 1.3 with ephemeral elliptic-curve keys are always used")
    key, chain = Path(arguments["privateKey"]), arguments["extraCertChain"]
    return CertificateFiles(
        endpoint=f"ssl:{arguments['port']}",
        key=key,
        certificate=Path(arguments["certKey"] or key),
        chain=None if chain is None else Path(chain),
    )


class CertificateReactor:
    """A reactor for one endpoint, whose TLS ports use `certificates`. Everything else is the wrapped reactor's."""

    def __init__(self, reactor: Any, certificates: Certificates) -> None:
        self._reactor = reactor
        self._certificates = certificates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenSSL(self, port: int, factory: object, contextFactory: object, *args: Any, **more: Any) -> Any:
        """See IReactorSSL."""
        return self._reactor.listenSSL(port, factory, self._certificates, *args, **more)
