"""Section 4: errors, and the headers of all answers."""

import pytest

from cometify.core.account import Account
from cometify.http.docs_site import ARCHIVE
from tests.contract.support import (
    API_KEY,
    API_SECRET,
    FORM,
    OPEN,
    PROBLEM,
    TRANSPORTS,
    by_query,
    code_of,
    kinds,
    refusal,
)  # fmt: skip
from tests.memory import World
from tests.wire import form, request_bytes, secure

HTTP = ("stream", "events", "poll")


def ask(world, method, path, body=None, **headers):
    wire = world.request(method, path, body, **headers)
    return wire.head[0], wire.head[1], wire


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", f"/{API_KEY}", 404, "not_found"),
        ("GET", f"/{API_KEY}/nothing", 404, "not_found"),
        ("POST", f"/{API_KEY}/push/chat/more", 404, "not_found"),
        ("GET", f"/{API_KEY}/stream/", 404, "not_found"),
        ("GET", "//stream", 404, "not_found"),
        ("GET", f"/{API_KEY}/push/chat", 405, "method_not_allowed"),
        ("PUT", f"/{API_KEY}/push/chat", 405, "method_not_allowed"),
        ("DELETE", f"/{API_KEY}/stream", 405, "method_not_allowed"),
        ("POST", f"/{API_KEY}/events", 405, "method_not_allowed"),
        ("PATCH", f"/{API_KEY}/poll", 405, "method_not_allowed"),
        ("POST", f"/{API_KEY}/websocket", 405, "method_not_allowed"),
    ],
)
def test_a_path_or_method_that_is_not_there(world, method, path, status, code):
    wire = world.request(method, path, b"" if method != "GET" else None)
    answered, headers = wire.head
    assert (answered, code_of(wire.answer())) == (status, code)
    assert ("allow" in headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("push/chat", {"POST"}),
        ("stream", {"GET", "POST"}),
        ("poll", {"GET", "POST"}),
        ("events", {"GET"}),
        ("websocket", {"GET"}),
    ],
)
def test_allow_names_the_methods(world, path, allow):
    _status, headers, _wire = ask(world, "DELETE", f"/{API_KEY}/{path}")
    assert {method.strip() for method in headers["allow"].split(",")} == allow


@pytest.mark.parametrize("path", ["push/chat", "stream", "poll", "events", "nothing"])
def test_a_head_request_is_answered_without_a_body(world, path):
    wire = world.request("HEAD", f"/{API_KEY}/{path}")
    assert wire.head[0] in (404, 405)
    assert wire.body() == b""


def test_a_problem_document_is_whole(world):
    _status, headers, wire = ask(world, "POST", f"/{API_KEY}/push/chat", b"", Content_Type=FORM)
    assert headers["content-type"] == PROBLEM
    document = wire.answer().json
    assert document.keys() - {"type"} == {"status", "title", "detail", "code"}
    assert ("type" in document) == ARCHIVE.is_file(), "it leads to the documentation"
    assert document == {**document, "status": 400, "code": "missing_parameter"}
    assert "text" in document["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/mixed; boundary=x", "image/png"])
def test_a_media_type_that_is_not_understood(world, kind):
    wire = world.request("POST", f"/{API_KEY}/push/chat", b"x", Content_Type=kind)
    assert refusal(wire) == ("unsupported_media_type", 415)


def test_statuses_that_twisted_has_not_heard_of_have_their_names(world):
    wire = world.request("GET", f"/{API_KEY}/websocket?identifiers=chat")
    assert wire.transport.value().startswith(b"HTTP/1.1 426 Upgrade Required\r\n")


def test_a_websocket_url_without_a_handshake_is_told(world):
    status, headers, wire = ask(world, "GET", f"/{API_KEY}/websocket?identifiers=chat")
    assert (status, headers["upgrade"]) == (426, "websocket")
    assert "WebSocket" in wire.answer().json["detail"]


# Headers.


@pytest.mark.parametrize("transport", HTTP)
def test_responses_have_headers_for_proxies_and_for_any_page(world, transport):
    for query in ("identifiers=chat", "identifiers=1", ""):
        _status, headers, _wire = ask(world, "GET", f"/{API_KEY}/{transport}?{query}", Origin="https://www.example.org")
        assert headers["cache-control"] == "no-store, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert headers["access-control-allow-origin"] in ("*", "https://www.example.org")


@pytest.mark.parametrize("transport", HTTP)
def test_an_unknown_keys_refusal_can_be_read_by_any_page(world, transport):
    _status, headers, _wire = ask(world, "GET", f"/99/{transport}?identifiers=chat", Origin="https://www.example.org")
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("transport", ["stream", "poll"])
@pytest.mark.parametrize("size", [16 * 1024 + 1, 512 * 1024 + 1])
def test_too_long_listen_frame_is_refused_readably_for_pages(world, transport, size):
    wire = world.request("POST", f"/{API_KEY}/{transport}", b" " * size, Origin="https://www.example.org")
    headers = wire.head[1]
    assert refusal(wire) == ("body_too_large", 413)
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cache-control"] == "no-store, no-transform"


@pytest.mark.parametrize("transport", ["stream", "poll"])
def test_a_listen_frame_that_is_too_long_is_told_from_the_headers(world, transport):
    wire = world.connect()
    wire.receive(f"POST /{API_KEY}/{transport} HTTP/1.1\r\nHost: x\r\nContent-Length: {16 * 1024 + 1}\r\n\r\n".encode())
    assert wire.answered
    assert refusal(wire) == ("body_too_large", 413)


@pytest.mark.parametrize("transport", ["stream", "poll"])
def test_a_page_may_read_retry_after(transport):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    world.websocket("identifiers=chat")
    wire = by_query(world, transport, "identifiers=chat")
    assert wire.head[1]["retry-after"].isdigit()
    assert "retry-after" in wire.head[1]["access-control-expose-headers"].lower()


# Origins.


def picky() -> World:
    return World(Account(API_KEY, (API_SECRET,), origins=("https://www.example.org", "null")))


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("origin", ["https://www.example.org", "null"])
def test_pages_of_the_accounts_origins_may_listen(transport, origin):
    wire = by_query(picky(), transport, "identifiers=chat", Origin=origin)
    assert kinds(wire.frames())[0] == "ready"
    if transport != "websocket":
        assert wire.head[1]["access-control-allow-origin"] == origin
        assert "origin" in wire.head[1]["vary"].lower()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "origin", ["http://www.example.org", "https://example.org", "https://www.example.org.evil.example"]
)
def test_pages_of_other_origins_may_not(transport, origin):
    wire = by_query(picky(), transport, "identifiers=chat", Origin=origin)
    headers = wire.head[1]
    assert refusal(wire) == ("origin_not_allowed", 4003 if transport == "websocket" else 403)
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_request_without_origin_is_allowed(transport):
    assert kinds(by_query(picky(), transport, "identifiers=chat").frames())[0] == "ready"


def test_without_origins_any_page_may_listen(world):
    for origin in ("https://anything.example", "null", "chrome-extension://abc", "file://"):
        assert kinds(world.websocket("identifiers=chat", Origin=origin).frames())[0] == "ready"


# Close codes.


@pytest.mark.parametrize(
    ("query", "key", "close"),
    [
        ("identifiers=1", API_KEY, 4000),
        ("identifiers=chat", "99", 4001),
        ("identifiers=chat&position=x", API_KEY, 4000),
    ],
)
def test_a_websocket_is_told_after_it_was_accepted(world, query, key, close):
    wire = world.websocket(query, key=key)
    assert wire.head[0] == 101
    error, closed = wire.frames()
    assert closed["code"] == close
    assert error["retry"] is None
    assert list(error) == ["type", "code", "detail", "retry"]


def test_a_peers_close_is_answered(world):
    from tests.wire import client_frame

    wire = world.websocket("identifiers=chat")
    wire.frames()
    wire.receive(client_frame((1000).to_bytes(2, "big") + b"bye", opcode=8))
    assert wire.frames() == [{"type": "(close)", "code": 1000}]
    assert wire.transport.disconnecting
    assert world.push("chat", "x").json["listeners"] == 0


def test_connection_closes_once_the_peer_answers_the_close(world):
    from tests.wire import client_frame

    wire = world.websocket("identifiers=1")
    assert refusal(wire) == ("invalid_identifier", 4000)
    assert not wire.transport.disconnecting
    wire.receive(client_frame((4000).to_bytes(2, "big"), opcode=8))
    assert wire.transport.disconnecting


def test_or_10_s_later(world):
    wire = world.websocket("identifiers=1")
    world.advance(11)
    assert wire.transport.aborted


@pytest.mark.parametrize("transport", OPEN)
def test_a_refusal_that_may_be_tried_again_says_when(transport):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    world.websocket("identifiers=chat")
    wire = by_query(world, transport, "identifiers=chat")
    if transport == "stream":
        assert int(wire.head[1]["retry-after"]) >= 1
    else:
        assert wire.frames()[0]["retry"] >= 1


@pytest.mark.parametrize("transport", HTTP)
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_a_refusal_says_its_length_and_is_not_chunked_too(transport, version):
    """A client would read a body without chunks as chunks if both headers were there (RFC 9112, section 6.3)."""
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    world.websocket("identifiers=chat")
    wire = world.connect()
    wire.receive(request_bytes("GET", f"/{API_KEY}/{transport}?identifiers=chat", version=version))
    headers = wire.head[1]
    assert "transfer-encoding" not in headers
    assert len(wire.body()) == int(headers["content-length"])


def test_an_event_stream_is_refused_for_good_by_its_status(world):
    assert refusal(by_query(world, "events", "identifiers=1")) == ("invalid_identifier", 400)
    assert refusal(by_query(world, "events", "identifiers=chat", key="99")) == ("not_authorized", 403)


def test_http_1_0_is_refused_alike(world):
    wire = world.connect()
    body = form({"text": "x", "secret": "0", "secure": secure("chat", "y")})
    wire.receive(request_bytes("POST", f"/{API_KEY}/push/chat", body, {"Content-Type": FORM}, "HTTP/1.0"))
    assert wire.head[0] == 403
