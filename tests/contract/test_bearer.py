"""Section 2: pushes with the API secret itself, and the ways by which such a request may come."""

import json
import ssl
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.logger import globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory

from cometify.core.account import Account
from cometify.transports.batch import UNPROVEN_BODY
from tests.certificates import make_key_pair
from tests.contract.support import API_KEY, API_SECRET, FORM, code_of, fields, form, texts
from tests.memory import World
from tests.transports import BufferedTransport
from tests.wire import Answer, request_bytes, seal

ODD = {"Proxy-Connection": "keep-alive"}
"""A header that keeps a request off the fast path, so that twisted.web reads it."""
PATH, BATCH = f"/{API_KEY}/push/chat", f"/{API_KEY}/push"
JSON = "application/json"
HERE, AFAR, PROXY = "127.0.0.1", "192.0.2.7", "10.0.0.9"
BEARER = {"Authorization": f"Bearer {API_SECRET}"}
BODIES = {
    PATH: json.dumps({"text": "Hello", "secret": 0}).encode(),
    BATCH: json.dumps([{"identifier": "chat", "text": "Hello", "secret": 0}]).encode(),
}


def proxied(*accounts: Account) -> World:
    """A server that trusts one proxy."""
    return World(*accounts, trusted_proxies=(ip_network(PROXY),))


def request_to(path, headers, body=None):
    return request_bytes("POST", path, body or BODIES[path], {"Content-Type": JSON, **BEARER, **headers})


def send(world, headers=None, *, host=HERE, path=PATH, body=None):
    wire = world.connect(host)
    wire.receive(request_to(path, headers or {}, body))
    return wire.answer()


def heard(world):
    """The texts that a new listener is sent of everything that was pushed."""
    return texts(world.stream("identifiers=chat:0").frames())


def assert_told_of_the_way(answer):
    assert code_of(answer) == "not_authorized"
    assert "TLS" in answer.json["detail"]
    assert API_SECRET not in answer.json["detail"]


# The way of a request.


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("host", [HERE, "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_secret_from_loopback_pushes(world, way, host):
    assert send(world, way, host=host).status == 200
    assert send(world, way, host=host, path=BATCH).status == 200
    assert heard(world) == ["Hello", "Hello"]


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("path", [PATH, BATCH])
@pytest.mark.parametrize("host", [AFAR, "10.0.0.1", PROXY, "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.7"])
def test_secret_from_afar_in_clear_is_refused(way, path, host):
    world = proxied()
    assert_told_of_the_way(send(world, way, host=host, path=path))
    assert heard(world) == []


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize(
    ("host", "told", "taken"),
    [
        (PROXY, {"X-Forwarded-Proto": "https"}, True),
        (PROXY, {"X-Forwarded-Proto": "HTTPS", "X-Forwarded-For": AFAR}, True),
        (PROXY, {"X-Forwarded-Proto": "https, https"}, True),
        (PROXY, {"X-Forwarded-Proto": "http"}, False),
        (PROXY, {"X-Forwarded-Proto": "https, http"}, False),
        (PROXY, {"X-Forwarded-Proto": "https\x0b"}, False),
        (PROXY, {"X-Forwarded-Proto": "http, https"}, False),
        (PROXY, {"X-Forwarded-Proto": ""}, False),
        (PROXY, {"X-Forwarded-For": HERE}, False),
        (AFAR, {"X-Forwarded-Proto": "https"}, False),
        (AFAR, {"X-Forwarded-Proto": "https", "X-Forwarded-For": HERE}, False),
        (AFAR, {"X-Forwarded-For": f"{HERE}, {PROXY}"}, False),
        (HERE, {"X-Forwarded-For": AFAR}, False),
        (HERE, {"X-Forwarded-Proto": "http"}, False),
        (HERE, {"X-Forwarded-Proto": "https"}, False),
    ],
)
def test_only_a_trusted_proxy_can_tell_of_https(way, host, told, taken):
    world = proxied()
    for path in (PATH, BATCH):
        answer = send(world, way | told, host=host, path=path)
        if taken:
            assert answer.status == 200
        else:
            assert_told_of_the_way(answer)
    assert heard(world) == ["Hello"] * (2 * taken)


def test_second_x_forwarded_proto_is_heard_too():
    wire = proxied().connect(PROXY)
    request = request_to(PATH, {"X-Forwarded-Proto": "https", "X-Forwarded-Proto ": "http"})
    wire.receive(request.replace(b"Proto :", b"Proto:"))
    assert_told_of_the_way(wire.answer())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    make_key_pair(folder / "key.pem", folder / "cert.pem")
    return str(folder / "key.pem"), str(folder / "cert.pem")


def send_over_tls(world: World, certificate: tuple[str, str], request: bytes, host: str) -> Answer:
    """Send a request over TLS from any address."""
    transport = BufferedTransport(host)
    context = DefaultOpenSSLContextFactory(*certificate)
    factory = TLSMemoryBIOFactory(context, False, world.server.http, clock=world.reactor)
    server = factory.buildProtocol(transport.getPeer())
    transport.protocol = server
    server.makeConnection(transport)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.create_default_context(cafile=certificate[1])
    client = trust.wrap_bio(to_client, to_server, server_hostname="localhost")

    def exchange() -> None:
        world.settle()
        server.dataReceived(to_server.read())
        world.settle()
        to_client.write(transport.value())
        transport.clear()

    for _ in range(3):
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            exchange()
    client.write(request)
    exchange()
    head, _, body = client.read(1 << 16).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Answer(int(lines[0].split()[1]), headers, body)


@pytest.mark.parametrize("way", [{}, ODD])
@pytest.mark.parametrize("path", [PATH, BATCH])
def test_secret_over_tls_pushes(certificate, way, path):
    world = proxied()
    assert send_over_tls(world, certificate, request_to(path, way), AFAR).status == 200
    assert heard(world) == ["Hello"]


@pytest.mark.parametrize("way", [{}, ODD])
def test_tls_to_a_proxy_alone_is_not_enough(certificate, way):
    world = proxied()
    for told in ({"X-Forwarded-Proto": "http"}, {"X-Forwarded-For": AFAR}):
        assert_told_of_the_way(send_over_tls(world, certificate, request_to(PATH, way | told), PROXY))
    assert heard(world) == []


def test_way_is_judged_before_the_secret(world):
    wrong = {"Authorization": "Bearer wrong"}
    right, wrong, unknown = (
        send(world, host=AFAR).body,
        send(world, wrong, host=AFAR).body,
        send(world, host=AFAR, path="/unknown/push/chat", body=BODIES[PATH]).body,
    )
    assert right == wrong == unknown


# The secret.


@pytest.mark.parametrize("way", [{}, ODD])
def test_unknown_key_and_wrong_secret_get_the_same_answer(world, way):
    wrong = send(world, way | {"Authorization": "Bearer wrong"})
    unknown = send(world, way, path="/unknown/push/chat", body=BODIES[PATH])
    assert code_of(wrong) == "not_authorized"
    assert (unknown.status, unknown.headers["content-length"], unknown.body) == (
        wrong.status, wrong.headers["content-length"], wrong.body,
    )  # fmt: skip
    assert heard(world) == []


@pytest.mark.parametrize("way", [{}, ODD])
def test_both_live_secrets_are_bearers(way):
    world = World(Account(API_KEY, ("new", "old")))
    statuses = [send(world, way | {"Authorization": f"Bearer {secret}"}).status for secret in ("new", "old", "older")]
    assert statuses == [200, 200, 403]


def test_secret_that_is_not_ascii_is_a_bearer():
    world = World(Account(API_KEY, ("sécret",)))
    assert send(world, {"Authorization": "Bearer sécret"}).status == 200


@pytest.mark.parametrize("spelled", ["bearer {}", "BEARER {}", "Bearer   {}  "])
def test_scheme_is_spelled_in_any_case(world, spelled):
    assert send(world, {"Authorization": spelled.format(API_SECRET)}).status == 200


@pytest.mark.parametrize("header", [f"Bearer{API_SECRET}", "Bearer", "Bearer ", f"Bearer {API_SECRET}, Bearer x"])
def test_malformed_bearer_pushes_nothing(world, header):
    for path in BODIES:
        assert send(world, {"Authorization": header}, path=path).status in (400, 403)
    assert heard(world) == []


@pytest.mark.parametrize("other", ["Bearer wrong", "Basic eDp5"])
def test_second_authorization_is_refused(world, other):
    wire = world.connect(HERE)
    request = request_to(PATH, {"Authorization ": other} | BEARER)
    wire.receive(request.replace(b"Authorization :", b"authorization:"))
    assert wire.answer().status in (400, 403)
    assert heard(world) == []


def test_authorization_of_another_scheme_is_passed_over(world):
    basic = {"Authorization": "Basic eDp5", "Content-Type": FORM}
    signed = form(fields("chat", "Hello"))
    assert send(world, basic, host=AFAR, body=signed).status == 200
    assert code_of(send(world, basic, path=BATCH)) == "missing_parameter"


def test_wrong_secret_is_not_made_up_for_by_secure(world):
    headers = {"Authorization": "Bearer wrong", "Content-Type": FORM}
    assert code_of(send(world, headers, body=form(fields("chat", "Hello")))) == "not_authorized"


def test_wrong_signature_is_not_made_up_for_by_the_secret(world):
    signed = seal(PATH, BODIES[PATH], world.wall(), "0" * 16, "another", kind=JSON)
    assert code_of(send(world, signed)) == "not_authorized"
    assert heard(world) == []


def test_secret_is_checked_before_the_body_is_parsed(world):
    for path in BODIES:
        assert code_of(send(world, {"Authorization": "Bearer wrong"}, path=path, body=b"\xff")) == "not_authorized"
        assert code_of(send(world, path=path, body=b"\xff")) == "invalid_body"


def test_push_with_the_secret_can_be_repeated(world):
    for _ in range(2):
        assert "duplicate" not in send(world).json
    key = {"Idempotency-Key": "key"}
    first, again = send(world, key).json, send(world, key).json
    assert again == first | {"duplicate": True}
    assert code_of(send(world, key, body=b'{"text":"other","secret":0}')) == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("signatures", "statuses"), [("any", [200, 200, 200]), ("strong", [403, 200, 200]), ("v2", [403, 403, 200])]
)
def test_account_says_which_proofs_it_takes(signatures, statuses):
    world = World(Account(API_KEY, (API_SECRET,), signatures=signatures))
    secure = {"Authorization": "", "Content-Type": FORM}
    signed = seal(PATH, BODIES[PATH], world.wall(), "0" * 16, kind=JSON) | {"Authorization": ""}
    answers = [send(world, secure, body=form(fields("chat", "Hello"))), send(world), send(world, signed)]
    assert [answer.status for answer in answers] == statuses


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Everything that is logged."""
    events: list[str] = []

    def observe(event: dict[str, object]) -> None:
        events.append(repr(event))

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


def test_secret_is_never_logged_or_answered(world, logged):
    other = {"Authorization": "Bearer 0ther-s3cret"}
    bodies = [
        send(world, more, host=host, path=path, body=body).body
        for more in ({}, other, ODD, other | ODD, {"Idempotency-Key": ""})
        for host in (HERE, AFAR)
        for path in BODIES
        for body in (None, b"\xff")
    ]
    said = "".join(logged) + b"".join(bodies).decode()
    assert API_SECRET not in said
    assert "0ther-s3cret" not in said


# A long batch, which is refused unread if its head tells that it cannot be genuine.


@pytest.mark.parametrize(
    ("host", "key", "secret", "taken"),
    [
        (HERE, API_KEY, API_SECRET, True),
        (HERE, API_KEY, "wrong", False),
        (HERE, "unknown", API_SECRET, False),
        (AFAR, API_KEY, API_SECRET, False),
    ],
)
def test_long_batch_is_read_for_the_right_secret_only(world, host, key, secret, taken):
    body = BODIES[BATCH] + b" " * UNPROVEN_BODY
    headers = {"Content-Type": JSON, "Authorization": f"Bearer {secret}"}
    head, _, body = request_bytes("POST", f"/{key}/push", body, headers).partition(b"\r\n\r\n")
    wire = world.connect(host)
    wire.receive(head + b"\r\n\r\n")
    if taken:
        wire.receive(body)
        assert wire.answer().status == 200
    else:
        assert code_of(wire.answer()) == "not_authorized"
    assert heard(world) == ["Hello"] * taken
