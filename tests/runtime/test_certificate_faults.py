"""What is said of certificates that expire, have expired, or are sent without their chain."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.logger import formatEvent, globalLogPublisher

from cometify.app.options import Options
from cometify.runtime.certificate_faults import REMIND_EVERY, SOON, Reminder, Validity
from cometify.runtime.certificates import CertificateFiles, Certificates
from tests.certificates import Chain

END = datetime(2026, 12, 1, 12, tzinfo=UTC).timestamp()
DAY = 86_400
LACKS = (
    "lacks its chain, and many clients refuse it: add the certificate of its authority (CN=a), as in the file fullchain.pem "
    "of certbot"
)


def make(folder, name, days, signer=None):
    """Write NAME.pem and NAME.key: a certificate that began long ago and ends in so many days. Returns it as a signer."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, issuer_key = signer or (subject, key)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    dated = builder.not_valid_before(now - timedelta(3000)).not_valid_after(now + timedelta(days))
    (folder / f"{name}.pem").write_bytes(dated.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return subject, key


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return Chain(tmp_path_factory.mktemp("certificates") / "chain")


def validity(folder, certificate, key="key.pem", chain=None):
    files = CertificateFiles("ssl:443", folder / key, folder / certificate, chain and folder / chain)
    return Certificates(files).validity


def check(folder, certificate, key, capsys):
    """What `--check` prints."""
    (folder / "cometify.toml").write_text(
        f'http = ["ssl:443:privateKey={folder}/{key}:certKey={folder}/{certificate}"]\n'
        '[[account]]\napi_key = "a"\napi_secret = "long enough for all"\n'
    )
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--check", "--config", str(folder / "cometify.toml")])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


# The words.


@pytest.mark.parametrize(
    ("left", "issuer", "words"),
    [
        (SOON, None, []),
        (SOON - 3600, None, ["expires at 2026-12-01 12:00 UTC, in 14.0 days: renew it"]),
        (DAY / 2, "CN=a", ["expires at 2026-12-01 12:00 UTC, in 0.5 days: renew it", LACKS]),
        (0, None, ["expired at 2026-12-01 12:00 UTC, and clients refuse it: renew it"]),
        (SOON, "CN=a", [LACKS]),
    ],
)
def test_fault_is_told_with_what_to_do(left, issuer, words):
    assert Validity(END, issuer).faults(END - left) == words


# The chain.


@pytest.mark.parametrize(("certificate", "more"), [("fullchain.pem", None), ("cert.pem", "chain.pem")])
def test_whole_chain_has_no_fault(chain, certificate, more):
    assert validity(chain.folder, certificate, chain=more).issuer is None


@pytest.mark.parametrize("more", [None, "authority.pem"])
def test_missing_chain_is_named_by_its_authority(chain, more):
    assert validity(chain.folder, "cert.pem", chain=more).issuer == "CN=lower"


def test_certificate_of_a_trusted_authority_needs_no_chain(chain, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(chain.folder / "chain.pem"))
    assert validity(chain.folder, "cert.pem").issuer is None


def test_certificate_that_signs_itself_needs_no_chain(chain):
    assert validity(chain.folder, "authority.pem", "authority.key").issuer is None


def test_first_certificate_that_expires_counts(tmp_path):
    make(tmp_path, "leaf", 60, make(tmp_path, "lower", 5))
    found = validity(tmp_path, "leaf.pem", "leaf.key", "lower.pem")
    assert found.not_after == pytest.approx(time.time() + 5 * DAY, abs=60)


# `--check`.


@pytest.mark.parametrize(("days", "words"), [(-2000, "expired at "), (3, "expires at "), (40, None)])
def test_check_tells_a_certificate_that_expires(tmp_path, capsys, days, words):
    make(tmp_path, "cert", days)
    lines = check(tmp_path, "cert.pem", "cert.key", capsys)
    assert lines[-1] == "cometify: the configuration can be used; accounts: 1"
    told = [line for line in lines if "the certificate of ssl:443" in line]
    assert len(told) == (words is not None)
    assert words is None or told[0].startswith(f"cometify: the certificate of ssl:443 {words}")


def test_check_tells_a_chain_that_is_missing(tmp_path, capsys):
    make(tmp_path, "leaf", 60, make(tmp_path, "lower", 60))
    (line, _last) = check(tmp_path, "leaf.pem", "leaf.key", capsys)
    assert line.startswith("cometify: the certificate of ssl:443 lacks its chain, and many clients refuse it")


# The log.


@pytest.fixture
def lines():
    found = []

    def observe(event):
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_log_reminds_once_a_day(lines):
    reminder, valid = Reminder("ssl:443"), Validity(END, None)
    for hour in range(-20 * 24, 48):
        reminder.remind(valid, END + hour * 3600)
    assert len(lines) == 16
    assert lines[0].startswith("The certificate of ssl:443 expires at 2026-12-01 12:00 UTC, in 14.0 days: renew it.")
    assert lines[-1].startswith("The certificate of ssl:443 expired at ")


def test_renewed_certificate_ends_the_reminders(lines):
    reminder = Reminder("ssl:443")
    reminder.remind(Validity(END, None), END)
    reminder.remind(Validity(END + 90 * DAY, None), END + 1)
    reminder.remind(Validity(END, None), END + 2)
    assert len(lines) == 2
    reminder.remind(Validity(END, None), END + 2 + REMIND_EVERY)
    assert len(lines) == 3
