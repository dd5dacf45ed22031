"""Self-signed certificates for localhost."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path


def make_key_pair(key: Path, certificate: Path) -> None:
    """Write a private key and its certificate, both PEM."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
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
