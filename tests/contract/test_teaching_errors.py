"""Errors that tell the author of a page, a back end or a configuration what is wrong."""

from ipaddress import ip_network

import pytest
from twisted.logger import globalLogPublisher

from cometify.http.untrusted_proxies import MOST, PAUSE
from tests.contract.support import API_KEY, TRANSPORTS, by_query, code_of
from tests.memory import World

CLIENT_HELLO = bytes.fromhex("160301020001000000fc0303") + b"\x01" * 200
PUSH = f"/{API_KEY}/push/chat"


@pytest.fixture
def warnings():
    """The lines about proxies that were logged."""
    lines = []

    def observe(event):
        if "X-Forwarded-For" in (event.get("log_format") or ""):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


# TLS on a port without it.


@pytest.mark.parametrize("hello", [CLIENT_HELLO, CLIENT_HELLO + b"\r\n\r\n", CLIENT_HELLO[:11]])
def test_tls_on_a_plain_port_is_told_so(world, hello):
    wire = world.connect()
    wire.receive(hello)
    answer = wire.answer()
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert b"HTTP without TLS" in answer.body
    assert not wire.transport.connected or wire.transport.disconnecting


def test_body_that_looks_like_tls_is_a_body(world):
    wire = world.connect()
    head = f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    wire.receive(head)
    wire.receive(b"3\r\n")
    wire.receive(b"\x16\x03\x01")
    wire.receive(b"\r\n0\r\n\r\n")
    assert code_of(wire.answer()) in ("invalid_body", "missing_parameter", "unsupported_media_type", "not_authorized")


# X-Forwarded-For.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_proxy_that_is_not_trusted_is_logged_once(world, warnings, transport):
    for _ in range(3):
        by_query(world, transport, "identifiers=chat", host="10.0.0.9", X_Forwarded_For="192.0.2.1")
        world.advance(PAUSE)
    (line,) = warnings
    assert 'trusted_proxies = ["10.0.0.9"]' in line
    assert "192.0.2.1" not in line


def test_trusted_proxy_is_not_logged(engine, warnings):
    world = World(trusted_proxies=(ip_network("10.0.0.0/8"),))
    world.request("GET", f"/{API_KEY}/poll?identifiers=chat:0", host="10.0.0.9", X_Forwarded_For="192.0.2.1")
    world.request("GET", f"/{API_KEY}/poll?identifiers=chat:0", host="192.0.2.9")
    assert warnings == []


def test_untrusted_proxies_are_logged_once_a_minute(engine, warnings):
    world = World()

    def ask(number):
        host = f"10.0.1.{number}"
        world.request("GET", f"/{API_KEY}/poll?identifiers=chat:0", host=host, X_Forwarded_For="192.0.2.1")

    for number in range(5):
        ask(number)
    assert len(warnings) == 1
    world.advance(PAUSE)
    ask(0)
    ask(1)
    ask(2)
    assert [line.count("10.0.1.1,") for line in warnings] == [0, 1]


@pytest.mark.memory
def test_log_of_untrusted_proxies_is_bounded(warnings):
    world = World()
    for number in range(MOST + 5):
        host = f"10.0.2.{number}"
        world.request("GET", f"/{API_KEY}/poll?identifiers=chat:0", host=host, X_Forwarded_For="192.0.2.1")
        world.advance(PAUSE)
    assert len(warnings) == MOST


# A page that pushes.


@pytest.mark.parametrize("path", [PUSH, f"/{API_KEY}/push"])
def test_preflight_of_a_push_is_told_to_use_a_back_end(world, path):
    answer = world.request("OPTIONS", path, Origin="https://example.org", Access_Control_Request_Method="POST").answer()
    assert (answer.status, code_of(answer)) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    assert "back end" in answer.json["detail"]
    assert "access-control-allow-origin" not in answer.headers


def test_other_method_of_a_push_is_told_the_right_one(world):
    answer = world.request("GET", PUSH).answer()
    assert (answer.status, answer.json["detail"]) == (405, "Use POST here.")


# Identifiers.


@pytest.mark.parametrize("identifier", ["a-b", "user.7", "room:5x"])
def test_error_of_an_identifier_names_the_wrong_character(world, identifier):
    (wrong,) = set(identifier) & set("-.:")
    answer = world.request(
        "POST", f"/{API_KEY}/stream", b'{"type":"listen","groups":[{"identifiers":["%b"]}]}' % identifier.encode()
    )
    detail = answer.answer().json["detail"]
    assert f"because of the character '{wrong}'" in detail
