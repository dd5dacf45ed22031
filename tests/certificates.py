"""Certificates for localhost, signed by themselves or by a chain of authorities; and TLS without a network."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def make_key_pair(key: Path, certificate: Path, days: int = 9) -> None:
    """Write a private key and its certificate, both PEM."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(days),
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip


def make_certificate(folder: Path) -> Callable[[socket.socket], socket.socket]:
    """Make key.pem and cert.pem in the folder. Returns a function that makes TLS of a socket to a server that has them."""
    make_key_pair(folder / "key.pem", folder / "cert.pem")
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    trust.check_hostname = False

    def tls(plain: socket.socket) -> socket.socket:
        return trust.wrap_socket(plain, server_hostname="localhost")

    return tls


class Chain:
    """An authority, one below it, and a certificate for localhost that the lower one has signed.

    `files`: key.pem, cert.pem, chain.pem (the lower authority alone) and fullchain.pem. `authority`: the file to trust.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.authority = folder, folder / "authority.pem"
        self._make("authority", "/CN=authority", "CA:TRUE")
        self._make("chain", "/CN=lower", "CA:TRUE", signed_by="authority")
        self._make("cert", "/CN=localhost", "CA:FALSE", signed_by="chain")
        (folder / "cert.key").rename(folder / "key.pem")
        parts = [(folder / name).read_bytes() for name in ("cert.pem", "chain.pem")]
        (folder / "fullchain.pem").write_bytes(b"".join(parts))

    def _make(self, name: str, subject: str, constraint: str, signed_by: str | None = None) -> None:
        authority = [] if signed_by is None else ["-CA", f"{signed_by}.pem", "-CAkey", f"{signed_by}.key"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
             "-subj", subject, "-addext", f"basicConstraints=critical,{constraint}",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{name}.key", "-out", f"{name}.pem", *authority],
            check=True, capture_output=True, cwd=self.folder,
        )  # fmt: skip


class Peer:
    """The client's end of a TLS connection, which exchanges bytes with a protocol of the server in the same process."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def hello(self) -> bytes:
        """Begin the handshake. Returns the ClientHello."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def certificate(self) -> bytes | None:
        """The certificate of the server, without its chain."""
        return self.tls.getpeercert(binary_form=True)
