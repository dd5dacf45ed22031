"""Certificates of a TLS port: the chain, what is spoken, and files that change while the server runs."""

import os
import shutil
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.ssl import PrivateCertificate
from twisted.logger import formatEvent, globalLogPublisher

from cometify.config.settings import SettingsError
from cometify.runtime.certificates import CertificateFiles, Certificates, files_of
from cometify.runtime.ports import endpoint_of
from tests.certificates import Chain, Peer
from tests.runtime.tls import Port, client


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, Chain]:
    """Two certificates with all that belongs to them."""
    folder = tmp_path_factory.mktemp("certificates")
    return Chain(folder / "old"), Chain(folder / "new")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log."""
    found: list[str] = []

    def observe(event: dict[str, Any]) -> None:
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


class Live:
    """The folder that the server reads, whose files a program for renewals replaces."""

    def __init__(self, folder: Path, chain: Chain) -> None:
        self.folder = folder
        self._times = 0
        self.put(chain, "key.pem", "fullchain.pem")
        files = CertificateFiles("ssl:443", folder / "key.pem", folder / "fullchain.pem")
        self.certificates = Certificates(files)
        self.port = Port(self.certificates)

    def put(self, chain: Chain, *names: str) -> None:
        """Replace files. Each is newer than the one before."""
        for name in names:
            shutil.copy(chain.folder / name, self.folder / name)
            self._tick(name)

    def spoil(self, name: str) -> None:
        (self.folder / name).write_text("no certificate")
        self._tick(name)

    def _tick(self, name: str) -> None:
        self._times += 1
        os.utime(self.folder / name, (1_800_000_000 + self._times,) * 2)

    def serves(self, chain: Chain) -> bool:
        """True if new connections get this certificate, with a chain that verifies it."""
        try:
            self.port.connect().shake(Peer(client(chain.authority)))
        except ssl.SSLCertVerificationError:
            return False
        return True


@pytest.fixture
def live(tmp_path: Path, made: tuple[Chain, Chain]) -> Live:
    return Live(tmp_path, made[0])


# The chain.


@pytest.mark.parametrize(
    ("certificate", "chain"), [("fullchain", None), ("cert", "chain"), ("fullchain", "chain"), ("cert", "fullchain")]
)
def test_client_gets_the_whole_chain(made, certificate, chain):
    folder = made[0].folder
    more = None if chain is None else folder / f"{chain}.pem"
    certificates = Certificates(CertificateFiles("", folder / "key.pem", folder / f"{certificate}.pem", more))
    peer = Port(certificates).connect().shake(Peer(client(made[0].authority)))
    assert peer.certificate() == ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())


def test_certificate_without_its_chain_is_refused_by_clients(made):
    """The test of the tests above: the chain is needed."""
    folder = made[0].folder
    certificates = Certificates(CertificateFiles("", folder / "key.pem", folder / "cert.pem"))
    with pytest.raises(ssl.SSLCertVerificationError):
        Port(certificates).connect().shake(Peer(client(made[0].authority)))


# The endpoint.


@pytest.mark.parametrize(
    ("text", "key", "certificate", "chain"),
    [
        ("ssl:443:privateKey=a.pem:certKey=b.pem:extraCertChain=c.pem", "a.pem", "b.pem", "c.pem"),
        ("ssl:443:privateKey=a.pem", "a.pem", "a.pem", None),
        ("ssl:443:a.pem:b.pem", "a.pem", "b.pem", None),
        ("ssl:443", "server.pem", "server.pem", None),
        ("haproxy:ssl:443:privateKey=a.pem:interface=127.0.0.1", "a.pem", "a.pem", None),
        (r"ssl:443:privateKey=a\:b.pem", "a:b.pem", "a:b.pem", None),
    ],
)
def test_files_are_those_that_the_endpoint_names(text, key, certificate, chain):
    files = files_of(text)
    assert files is not None
    assert files == CertificateFiles("ssl:443", Path(key), Path(certificate), chain and Path(chain))


@pytest.mark.parametrize("text", ["tcp:8081", "unix:/run/ssl", "haproxy:tcp:8081"])
def test_other_endpoints_have_no_certificates(text):
    assert files_of(text) is None


@pytest.mark.parametrize("part", ["sslmethod=TLSv1_2_METHOD", "dhParameters=dh.pem"])
def test_parts_that_would_weaken_tls_are_refused(made, part):
    text = f"ssl:443:privateKey={made[0].folder}/key.pem:certKey={made[0].folder}/cert.pem:{part}"
    with pytest.raises(SettingsError, match=f"leave {part.partition('=')[0]} out"):
        endpoint_of(None, "http", text)


@pytest.mark.parametrize(
    ("key", "certificate", "chain", "reason"),
    [
        ("key.pem", "none.pem", None, "none.pem: No such file"),
        ("key.pem", "key.pem", None, "key.pem has no certificate in PEM"),
        ("key.pem", "cert.pem", "key.pem", "key.pem has no certificate in PEM"),
        ("cert.pem", "cert.pem", None, "must be files in PEM"),
        ("../new/key.pem", "cert.pem", None, "public and private keys do not match"),
    ],
)
def test_wrong_files_are_named_at_the_start(made, key, certificate, chain, reason):
    folder = made[0].folder
    text = f"ssl:443:privateKey={folder}/{key}:certKey={folder}/{certificate}"
    text += f":extraCertChain={folder}/{chain}" if chain else ""
    with pytest.raises(SettingsError, match=reason):
        endpoint_of(None, "http", text)


# Versions and ciphers.


def shake(live: Live, context: ssl.SSLContext) -> Peer:
    return live.port.connect().shake(Peer(context))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(live, version):
    context = client()
    context.minimum_version = context.maximum_version = version
    assert shake(live, context).tls.version() == version.name.replace("_", ".")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_versions_are_refused(live, version):
    context = client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol"):
        shake(live, context)


@pytest.mark.parametrize(
    ("cipher", "is_spoken"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA256", False),
        ("ECDHE-ECDSA-AES256-SHA", False),
        ("ECDHE-ECDSA-AES128-CCM", False),
    ],
)
def test_ciphers_of_tls_1_2_are_the_modern_ones(live, cipher, is_spoken):
    context = client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(cipher)
    if is_spoken:
        assert shake(live, context).tls.cipher()[0] == cipher
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake"):
            shake(live, context)


# Files that change.


def test_files_that_change_are_read_again(live, made, lines):
    old, new = made
    before = live.port.connect()
    peer = before.shake(Peer(client(old.authority)))
    live.put(new, "key.pem", "fullchain.pem")
    live.certificates.poll()
    live.certificates.poll()
    assert live.serves(new)
    assert not live.serves(old)
    assert before.echoes(peer)
    assert peer.certificate() == ssl.PEM_cert_to_DER_cert((old.folder / "cert.pem").read_text())
    assert [line for line in lines if "were read again" in line] == ["The certificates of ssl:443 were read again"]


def test_files_that_do_not_change_are_not_read(live, lines):
    for _ in range(3):
        live.certificates.poll()
    assert not lines


def test_files_that_are_being_written_are_left_alone(live, made, lines):
    """The new key does not belong to the old certificate."""
    old, new = made
    live.put(new, "key.pem")
    live.certificates.poll()
    assert live.serves(old)
    live.put(new, "fullchain.pem")
    live.certificates.poll()
    live.certificates.poll()
    assert live.serves(new)
    assert len(lines) == 1


def test_file_that_is_missing_for_a_moment_changes_nothing(live, made, lines):
    old, new = made
    (live.folder / "fullchain.pem").unlink()
    live.certificates.poll()
    live.certificates.poll()
    assert live.serves(old)
    assert not lines
    live.put(new, "key.pem", "fullchain.pem")
    live.certificates.poll()
    live.certificates.poll()
    assert live.serves(new)


def test_wrong_files_change_nothing_and_are_logged_once(live, made, lines):
    old, new = made
    live.spoil("fullchain.pem")
    for _ in range(4):
        live.certificates.poll()
    assert live.serves(old)
    (line,) = lines
    assert "The certificates of ssl:443 cannot be read again" in line
    assert "fullchain.pem has no certificate in PEM" in line
    assert "keeps those that it has" in line
    live.put(new, "key.pem", "fullchain.pem")
    live.certificates.poll()
    live.certificates.poll()
    assert live.serves(new)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["key.pem", "fullchain.pem"])
def test_pipe_is_refused_and_not_waited_for(live, made, lines, name):
    (live.folder / name).unlink()
    os.mkfifo(live.folder / name)
    live.certificates.read_again()
    assert live.serves(made[0])
    assert f"{name}: must be a regular file, and is a pipe" in lines[0]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["key.pem", "fullchain.pem"])
@pytest.mark.parametrize(
    ("other", "reason"),
    [("/dev/zero", "must be a regular file, and is a device"), ("long", "must have at most 1048576 bytes")],
)
def test_certificates_are_read_up_to_a_bound(live, made, lines, name, other, reason):
    (live.folder / "long").write_bytes(b"\n" * ((1 << 20) + 1))
    (live.folder / name).unlink()
    (live.folder / name).symlink_to(other)
    live.certificates.read_again()
    assert live.serves(made[0])
    assert f"{name}: {reason}" in lines[0]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_encrypted_key_is_refused_without_a_question(live, made, lines, monkeypatch, form):
    def ask(*_arguments):
        raise AssertionError("OpenSSL would ask at the terminal")

    monkeypatch.setattr(PrivateCertificate, "loadPEM", ask)
    key = load_pem_private_key((made[0].folder / "key.pem").read_bytes(), None)
    (live.folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"x")))
    live.certificates.read_again()
    assert live.serves(made[0])
    assert "key.pem is encrypted" in lines[0]
    assert "write it without one" in lines[0]


def test_asked_to_read_again_it_does_at_once(live, made, lines):
    _old, new = made
    live.put(new, "key.pem", "fullchain.pem")
    live.certificates.read_again()
    assert live.serves(new)
    live.certificates.poll()
    live.certificates.poll()
    assert len(lines) == 1


def test_missing_file_is_logged_when_asked(live, made, lines):
    (live.folder / "key.pem").unlink()
    live.certificates.read_again()
    assert live.serves(made[0])
    (line,) = lines
    assert "key.pem: No such file or directory" in line
