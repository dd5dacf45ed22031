"""Bad input gets its documented answer, loses nothing, and writes no traceback."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from tests.conftest import Server, assert_clean
from tests.contract.support import API_KEY, PROBLEM
from tests.wire import API_SECRET, FORM, Answer, Connection, WebSocket, client_frame, form, request_bytes, secure

PATH = f"/{API_KEY}/push/chat"
JSON = {"Content-Type": "application/json"}
FRONTIER = {"Content-Type": "multipart/form-data; boundary=frontier"}
GOOD = {"identifier": "chat", "text": "bad", "secret": "0", "secure": secure("chat", "bad")}


@attrs.frozen
class Case:
    """`data` is sent as it is; `status` and `code` must be the first answer. A status of None: there is no answer, because
    the request is not whole. `hang_up`: the peer goes after it has sent.
    """

    name: str
    data: bytes
    status: int | None
    code: str | None
    hang_up: bool = False


def pushes(
    name: str, body: bytes, status: int, code: str, headers: dict[str, str] | None = None, path: str = PATH
) -> Case:
    return Case(name, request_bytes("POST", path, body, FORM if headers is None else headers), status, code)


def changed(name: str, code: str, status: int = 400, path: str = PATH, **values: str | bytes) -> Case:
    return pushes(name, form({**GOOD, **values}), status, code, path=path)


def without(name: str) -> Case:
    return pushes(
        f"{name} is missing", form({key: value for key, value in GOOD.items() if key != name}), 400, "missing_parameter"
    )


def twice(name: str) -> Case:
    return pushes(f"{name} twice", form(GOOD) + b"&" + form({name: GOOD[name]}), 400, "repeated_parameter")


def in_json(name: str, code: str, status: int = 400, **values: Any) -> Case:
    return pushes(name, json.dumps({**GOOD, **values}).encode(), status, code, JSON)


def raw_json(name: str, body: bytes, code: str = "invalid_body") -> Case:
    return pushes(name, body, 400, code, JSON)


def asks(name: str, query: str, code: str, status: int = 400, transport: str = "poll") -> Case:
    return Case(name, request_bytes("GET", f"/{API_KEY}/{transport}?{query}"), status, code)


def posts(name: str, body: bytes, code: str, status: int = 400, transport: str = "poll") -> Case:
    return Case(name, request_bytes("POST", f"/{API_KEY}/{transport}", body), status, code)


def head(lines: str) -> bytes:
    return f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n{lines}\r\n\r\n".encode()


LONG = "x" * 65_537
WHOLE = form(GOOD)
POLL = request_bytes("GET", f"/{API_KEY}/poll?identifiers=chat")
HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}

CASES = [
    # Identifiers.
    *[
        changed(f"the path's identifier {path!r}", "invalid_identifier", path=f"/{API_KEY}/push/{path}")
        for path in (
            "1chat",
            "_chat",
            "ch-at",
            "ch%20at",
            "ch%C3%A4t",
            "chat%00",
            "chat%0A",
            "%FF",
            "x" * 61,
            "",
            "chat%2Fmore",
            "a" * 5000,
        )
    ],
    *[
        changed(f"the identifier {value!r}", "invalid_identifier", identifier=value)
        for value in (
            "1chat",
            "_chat",
            "ch at",
            "chat\n",
            "chat\0",
            "",
            "chät",
            "x" * 61,
            "chat,metrics",
            "\uff23\uff28\uff21\uff34",
            "\u212aat",
        )
    ],
    changed("another identifier than the path's", "identifier_mismatch", identifier="chat2"),
    changed("an identifier that is not UTF-8", "invalid_parameter", identifier=b"\xff"),
    # Texts.
    changed("a text of 65,537 bytes", "text_too_long", 413, text=LONG),
    changed("a text of 65,538 bytes in 21,846 characters", "text_too_long", 413, text="☃" * 21_846),
    changed("a text that is not UTF-8", "invalid_text", text=b"\xff\xfe"),
    changed("a text cut within a character", "invalid_text", text="é".encode()[:1]),
    changed("a text in Latin-1", "invalid_text", text="Grüße".encode("latin-1")),
    changed("an overlong NUL", "invalid_text", text=b"\xc0\x80"),
    changed("a surrogate in UTF-8", "invalid_text", text=b"\xed\xa0\x80"),
    changed("a NUL", "invalid_text", text="bad\0"),
    changed("an MD5 padding", "invalid_text", text=b"bad\x80" + b"\0" * 40),
    # Parameters.
    *map(without, ("text", "secret", "secure")),
    *map(twice, ("identifier", "text", "secret", "secure")),
    pushes("nothing at all", b"", 400, "missing_parameter"),
    pushes("a body of separators", b"&&&;;=&=&", 400, "missing_parameter"),
    pushes("percent signs that encode nothing", b"text=%&secret=%zz&secure=%1", 400, "invalid_parameter"),
    *[
        changed(f"secret {value!r}", "invalid_parameter", secret=value)
        for value in ("2", "-1", "", "yes", "00", "0\0", "1e0", "\u0660")
    ],
    changed("a secret that is not UTF-8", "invalid_parameter", secret=b"\xff"),
    *[
        changed(f"push_id {value!r}", "invalid_parameter", push_id=value)
        for value in ("-1", "", "1.0", "0x1", str(2**63), "9" * 400, "9" * 5000, " 1", "1_000", "\u0661", "NaN", "1\0")
    ],
    # Signatures.
    changed("a wrong signature", "not_authorized", 403, secure="0" * 32),
    changed("an empty signature", "not_authorized", 403, secure=""),
    changed("a signature that is no hex", "not_authorized", 403, secure="☃" * 32),
    changed("a signature of a megabyte's half", "not_authorized", 403, secure="0" * 400_000),
    changed("a signature that is not UTF-8", "invalid_parameter", secure=b"\xff"),
    changed("an API key that is none", "not_authorized", 403, path="/99/push/chat"),
    changed("an API key that is not UTF-8", "not_authorized", 403, path="/%ff/push/chat"),
    changed("an API key with a NUL", "not_authorized", 403, path=f"/{API_KEY}%00/push/chat"),
    # JSON.
    *[
        raw_json(f"JSON that is {name}", body)
        for name, body in {
            "an array": b"[]",
            "a number": b"7",
            "a string": b'"text"',
            "null": b"null",
            "nothing": b"",
            "cut off": b'{"text":"x"',
            "two objects": b"{}{}",
            "in Latin-1": b'{"text":"\xe4"}',
            "in UTF-16": '{"text":"x"}'.encode("utf-16"),
            "with a byte order mark": b"\xef\xbb\xbf{}",
            "with NaN": b'{"push_id":NaN}',
            "with Infinity": b'{"push_id":-Infinity}',
            "deep": b"[" * 100_000,
            "a deep object": b'{"a":' * 100_000,
            "with a number of 5,000 digits": b'{"push_id":' + b"9" * 5000 + b"}",
        }.items()
    ],
    raw_json("JSON with a name twice", b'{"text":"x","text":"y"}', "repeated_parameter"),
    raw_json("JSON with a name twice within", b'{"x":{"a":1,"a":2}}', "repeated_parameter"),
    raw_json("JSON with a name twice, spelled in two ways", b'{"text":"x","\\u0074ext":"y"}', "repeated_parameter"),
    raw_json("an empty object", b"{}", "missing_parameter"),
    in_json("a text that is a number", "invalid_parameter", text=5),
    in_json("a text that is an array", "invalid_parameter", text=["x"]),
    in_json("a text that is null", "missing_parameter", text=None),
    in_json("a text with a NUL in JSON", "invalid_text", text="bad\0"),
    in_json("a text with half a surrogate pair", "invalid_text", text="\ud800"),
    in_json("a text of 65,537 bytes in JSON", "text_too_long", 413, text=LONG),
    in_json("an identifier that is a number", "invalid_identifier", identifier=5),
    in_json("an identifier with half a surrogate pair", "invalid_identifier", identifier="\udfff"),
    in_json("a signature that is a number", "invalid_parameter", secure=5),
    in_json("a signature with half a surrogate pair", "not_authorized", 403, secure="\ud800" * 32),
    *[
        in_json(f"secret {value!r} in JSON", "invalid_parameter", secret=value)
        for value in (2, True, False, 0.0, [0], {})
    ],
    *[
        in_json(f"push_id {value!r} in JSON", "invalid_parameter", push_id=value)
        for value in (-1, 1.0, True, 2**53, 2**63, [1], {}, "x", 1e300)
    ],
    # Media types.
    *[
        pushes(f"the media type {kind!r}", WHOLE, 415, "unsupported_media_type", {"Content-Type": kind})
        for kind in (
            "text/plain",
            "application/xml",
            "application/jsonx",
            "image/png",
            "nonsense",
            ";;;",
            "multipart/mixed; boundary=x",
        )
    ],
    pushes("a multipart form without a boundary", b"x", 400, "invalid_body", {"Content-Type": "multipart/form-data"}),
    pushes(
        "a multipart form with an empty boundary",
        b"x",
        400,
        "invalid_body",
        {"Content-Type": "multipart/form-data; boundary="},
    ),
    pushes("a multipart form with another boundary", b"--other\r\n\r\n--other--\r\n", 400, "invalid_body", FRONTIER),
    pushes(
        "a multipart form that is cut off",
        b'--frontier\r\nContent-Disposition: form-data; name="text"\r\n\r\nx',
        400,
        "invalid_body",
        FRONTIER,
    ),
    pushes(
        "a part without a name",
        b"--frontier\r\nContent-Type: text/plain\r\n\r\nx\r\n--frontier--\r\n",
        400,
        "invalid_body",
        FRONTIER,
    ),
    pushes(
        "a part twice",
        b'--frontier\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n' * 2 + b"--frontier--\r\n",
        400,
        "repeated_parameter",
        FRONTIER,
    ),
    pushes(
        "a part with a NUL",
        b'--frontier\r\nContent-Disposition: form-data; name="text"\r\n\r\na\0b\r\n--frontier\r\n'
        b'Content-Disposition: form-data; name="secret"\r\n\r\n0\r\n--frontier--\r\n',
        400,
        "invalid_text",
        FRONTIER,
    ),
    pushes("JSON that says it is a form", json.dumps(GOOD).encode(), 400, "missing_parameter"),
    pushes("a form that says it is JSON", WHOLE, 400, "invalid_body", JSON),
    # Lengths.
    Case("no length and no body", head("Connection: close"), 400, "missing_parameter"),
    Case("a body that has no length", head("Connection: close") + WHOLE, 400, "missing_parameter"),
    Case(
        "a body over 512 KiB, told before it is read", head(f"Content-Length: {512 * 1024 + 1}"), 413, "body_too_large"
    ),
    Case("a body of a terabyte, told before it is read", head(f"Content-Length: {2**40}"), 413, "body_too_large"),
    Case(
        "a body over 512 KiB that is expected",
        head(f"Content-Length: {2**30}\r\nExpect: 100-continue"),
        413,
        "body_too_large",
    ),
    Case("a body over 512 KiB that comes", head(f"Content-Length: {600_000}") + b"x" * 600_000, 413, "body_too_large"),
    Case(
        "chunks over 512 KiB",
        head("Transfer-Encoding: chunked") + b"20000\r\n" + (b"x" * 0x20000 + b"\r\n20000\r\n") * 5,
        413,
        "body_too_large",
    ),
    Case(
        "a shorter body than its length", head(f"Content-Length: {len(WHOLE) + 10}") + WHOLE, None, None, hang_up=True
    ),
    Case("a longer body than its length", head(f"Content-Length: {len(WHOLE) - 10}") + WHOLE, 403, "not_authorized"),
    Case("a length that is no number", head("Content-Length: many"), 400, None),
    Case("a length below 0", head("Content-Length: -5"), 400, None),
    Case("two lengths", head("Content-Length: 5\r\nContent-Length: 6") + b"x" * 6, 400, None),
    Case("a length and chunks", head("Content-Length: 5\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n", 400, None),
    Case("chunks of nonsense", head("Transfer-Encoding: chunked") + b"zz\r\n", 400, None),
    Case("an unknown transfer coding", head("Transfer-Encoding: nonsense") + b"zz\r\n", 400, None),
    Case("the old transfer coding", head("Transfer-Encoding: identity") + POLL, 400, None),
    Case("the old transfer coding and a length", head("transfer-encoding:Identity \r\nContent-Length: 0"), 400, None),
    Case("a length of 5,000 digits", head("Content-Length: " + "1" * 5000) + WHOLE, 400, None),
    Case("a length of 5,000 zeros", head("content-length:" + "0" * 5000) + WHOLE, 400, None),
    Case("a chunk of 2,000 digits", head("Transfer-Encoding: chunked") + b"1" * 2000 + b"\r\n", 400, None),
    pushes("JSON with 5,000 digits", b'{"text":"x","secret":' + b"1" * 5000 + b"}", 400, "invalid_body", JSON),
    pushes("a push_id of 5,000 digits", form({**GOOD, "push_id": "1" * 5000}), 400, "invalid_parameter"),
    Case(
        "a timestamp of 5,000 digits",
        head(
            f"Content-Length: 0\r\nCometify-Nonce: {'n' * 20}\r\nCometify-Signature: x\r\nCometify-Timestamp: {'1' * 5000}"
        ),
        400,
        "invalid_parameter",
    ),
    Case(
        "a WebSocket version of 5,000 digits",
        request_bytes("GET", f"/{API_KEY}/websocket", None, {**HANDSHAKE, "Sec-WebSocket-Version": "1" * 5000}),
        400,
        "invalid_parameter",
    ),
    Case("half a request", head("Content-Length: 5")[:40], None, None, hang_up=True),
    # Methods and paths.
    Case("GET at push", request_bytes("GET", PATH), 405, "method_not_allowed"),
    Case("PUT at push", request_bytes("PUT", PATH, WHOLE, FORM), 405, "method_not_allowed"),
    Case("a method that nobody knows at push", request_bytes("BREW", PATH, b""), 405, "method_not_allowed"),
    Case("OPTIONS at push", request_bytes("OPTIONS", PATH), 405, "method_not_allowed"),
    Case("DELETE at poll", request_bytes("DELETE", f"/{API_KEY}/poll"), 405, "method_not_allowed"),
    Case("POST at events", request_bytes("POST", f"/{API_KEY}/events", b"{}"), 405, "method_not_allowed"),
    Case("POST at websocket", request_bytes("POST", f"/{API_KEY}/websocket", b"{}"), 405, "method_not_allowed"),
    Case("a path of nothing", request_bytes("GET", f"/{API_KEY}/nothing"), 404, "not_found"),
    Case("a path of slashes", request_bytes("GET", "/" * 50), 404, "not_found"),
    Case("a path that goes up", request_bytes("GET", "/latest/../../etc/passwd"), 404, "not_found"),
    Case(
        "an absolute form without a path",
        request_bytes("POST", "http://push.example.org", WHOLE, FORM),
        405,
        "method_not_allowed",
    ),
    Case(
        "an absolute form of another scheme",
        request_bytes("POST", f"gopher://x{PATH}", WHOLE, FORM),
        400,
        "invalid_parameter",
    ),
    Case("a version that is none", request_bytes("GET", PATH, version="HTCPCP/1.0"), 400, None),
    Case("no version", b"GET /\r\n\r\n", 400, None),
    Case("no Host", POLL.replace(b"Host: localhost\r\n", b""), 400, "invalid_parameter"),
    Case(
        "no Host in a push",
        request_bytes("POST", PATH, WHOLE, FORM).replace(b"Host: localhost\r\n", b""),
        400,
        "invalid_parameter",
    ),
    Case("two Hosts", POLL.replace(b"Host: ", b"Host: a\r\nHost: "), 400, "invalid_parameter"),
    Case(
        "two equal Hosts",
        POLL.replace(b"Host: localhost", b"Host: localhost\r\nhost: localhost"),
        400,
        "invalid_parameter",
    ),
    Case("two Hosts in HTTP/1.0", POLL.replace(b"1.1\r\n", b"1.0\r\nHost: a\r\n"), 400, "invalid_parameter"),
    Case("a target without a slash", POLL.replace(b"GET /", b"GET X"), 400, "invalid_parameter"),
    Case("a target that is an authority", request_bytes("CONNECT", "localhost:80"), 400, "invalid_parameter"),
    Case("a target of a star", request_bytes("GET", "*"), 400, "invalid_parameter"),
    Case("a header without a colon", b"GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400, None),
    Case("bytes of nothing", bytes(range(128, 256)) + b"\r\n\r\n", 400, None),
    Case("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 4, 400, None),
    Case("a header of 100 KiB", b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", None, None),
    # Listening.
    asks("no identifiers", "", "missing_parameter"),
    asks("identifiers of nothing", "identifiers=,", "invalid_identifier"),
    asks("identifiers twice", "identifiers=chat&identifiers=chat", "repeated_parameter"),
    asks("an identifier twice", "identifiers=chat,CHAT", "invalid_parameter"),
    asks("101 identifiers", "identifiers=" + ",".join(f"x{number}" for number in range(101)), "invalid_parameter"),
    asks("mixed identifiers", "identifiers=chat,metrics:1", "invalid_parameter"),
    asks("an internal id of nothing", "identifiers=chat:", "invalid_parameter"),
    asks("an internal id out of range", f"identifiers=chat:{2**63}", "invalid_parameter"),
    asks("a position out of range", f"identifiers=chat&position={2**53}", "invalid_parameter"),
    asks("a position below 0", "identifiers=chat&position=-1", "invalid_parameter"),
    asks("a query that is not UTF-8", "identifiers=%ff", "invalid_parameter"),
    asks("a listener that is too short", "identifiers=chat&listener=1234567", "invalid_parameter"),
    asks("a listener with a NUL", "identifiers=chat&listener=12345678%00", "invalid_parameter"),
    asks("a position of 5,000 digits", f"identifiers=chat&position={'1' * 5000}", "invalid_parameter"),
    asks("an internal id of 5,000 digits", f"identifiers=chat:{'1' * 5000}", "invalid_parameter"),
    asks("the same at stream", "identifiers=1", "invalid_identifier", transport="stream"),
    asks("the same at events", "identifiers=1", "invalid_identifier", transport="events"),
    Case("a stream of an unknown account", request_bytes("GET", "/99/stream?identifiers=chat"), 403, "not_authorized"),
    Case(
        "a Last-Event-ID that is no position",
        request_bytes("GET", f"/{API_KEY}/events?identifiers=chat", None, {"Last-Event-ID": "x"}),
        400,
        "invalid_parameter",
    ),
    posts("a listen that is no JSON", b"nonsense", "invalid_body"),
    posts("a listen that is an array", b"[]", "invalid_body"),
    posts("a listen that is deep", b'{"type":' * 1700, "invalid_body"),
    posts("a listen of another type", b'{"type":"ready"}', "invalid_body"),
    posts("a listen without groups", b'{"type":"listen"}', "missing_parameter"),
    posts("a listen with no groups", b'{"type":"listen","groups":[]}', "invalid_parameter"),
    posts("a listen with a name twice", b'{"type":"listen","type":"listen"}', "invalid_parameter"),
    posts("a listen over 16 KiB", b'{"type":"listen"}' + b" " * 16_400, "body_too_large", 413),
    posts("a listen at stream that is no JSON", b"\xff\xfe\xfd", "invalid_body", transport="stream"),
    # Handshakes.
    Case("a websocket without a handshake", request_bytes("GET", f"/{API_KEY}/websocket?identifiers=chat"), 426, None),
    Case(
        "a handshake without a key",
        request_bytes(
            "GET",
            f"/{API_KEY}/websocket",
            None,
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
        ),
        400,
        None,
    ),
    Case(
        "a handshake with a subprotocol twice",
        request_bytes(
            "GET",
            f"/{API_KEY}/websocket",
            None,
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Protocol": "chat, chat",
            },
        ),
        400,
        None,
    ),
    Case(
        "a handshake of another version",
        request_bytes(
            "GET",
            f"/{API_KEY}/websocket",
            None,
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "99",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        ),
        400,
        None,
    ),
    Case(
        "a handshake of a draft of the standard",
        request_bytes(
            "GET",
            f"/{API_KEY}/websocket",
            None,
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "8",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            },
        ),
        400,
        None,
    ),
    Case(
        "a handshake with a key that is none",
        request_bytes(
            "GET",
            f"/{API_KEY}/websocket",
            None,
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"},
        ),
        400,
        None,
    ),
]


class Witness:
    """A listener on each transport, which gets every push and nothing else."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.listeners = [
            server.websocket("identifiers=chat,witness"),
            server.stream("identifiers=chat,witness"),
            server.stream("identifiers=chat,witness", "events"),
        ]
        for listener in self.listeners:
            listener.joined()
        self.count = 0

    def check(self) -> None:
        """The next frame is this push, so nothing was pushed before it, and nothing was lost."""
        self.count += 1
        self.server.pushed("witness", str(self.count))
        for listener in self.listeners:
            frame = listener.frame()
            while frame["type"] in ("heartbeat", "reconnect"):
                frame = listener.frame()
            assert (frame["type"], frame["identifier"], frame["text"]) == ("push", "witness", str(self.count))


@pytest.fixture(scope="module")
def witness(server: Server) -> Iterator[Witness]:
    witness = Witness(server)
    yield witness
    for listener in witness.listeners:
        listener.close()


def test_there_are_enough_cases():
    assert len(CASES) + len(FRAMES) >= 60
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


def first_answer(connection: Connection, hang_up: bool) -> Answer | None:
    """The first answer after a 100 Continue, or None if the connection ended without one."""
    if hang_up:
        import socket

        connection.socket.shutdown(socket.SHUT_WR)
    try:
        return connection.answer()
    except (EOFError, ConnectionResetError):
        return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_that_is_wrong(server, witness, case):
    with Connection(server.port) as connection:
        connection.send(case.data)
        answer = first_answer(connection, case.hang_up)
    if case.status is None:
        assert answer is None
    else:
        assert answer is not None
        assert answer.status == case.status
        assert answer.headers.get("content-length") is not None or not answer.body
        if case.code is not None:
            document = answer.json
            assert answer.headers["content-type"] == PROBLEM
            assert (document["code"], document["status"]) == (case.code, case.status)
            assert document["title"]
            assert document["detail"]
            assert ("allow" in answer.headers) == (case.status == 405)
    witness.check()
    assert_clean(server.log.read_text())


# WebSockets.


def text(data: bytes, **more: Any) -> bytes:
    return client_frame(data, **more)


LISTEN = b'{"type":"listen","groups":[{"identifiers":["chat"]}]}'
TOO_LONG = b'{"type":"listen","padding":"' + b"x" * 16_384 + b'"}'

FRAMES: list[tuple[str, bytes, str | None, int]] = [
    # (name, bytes, the error's code, the close code); breaches of RFC 6455 have its close codes and no error frame
    ("binary", client_frame(LISTEN, opcode=2), "invalid_body", 4000),
    ("an empty text", client_frame(b""), "invalid_body", 4000),
    ("not JSON", client_frame(b"nonsense"), "invalid_body", 4000),
    ("JSON that is no object", client_frame(b"[]"), "invalid_body", 4000),
    ("JSON with NaN", client_frame(b'{"type":"listen","groups":NaN}'), "invalid_body", 4000),
    ("JSON that is deep", client_frame(b"[" * 16_000), "invalid_body", 4000),
    ("no listen", client_frame(b'{"type":"unlisten"}'), "invalid_body", 4000),
    ("a type that is a number", client_frame(b'{"type":5}'), "invalid_body", 4000),
    ("a type that is an array", client_frame(b'{"type":["listen"]}'), "invalid_body", 4000),
    ("no type", client_frame(b'{"groups":[]}'), "invalid_body", 4000),
    ("a listen without groups", client_frame(b'{"type":"listen"}'), "missing_parameter", 4000),
    ("a listen of an invalid identifier", client_frame(LISTEN.replace(b"chat", b"1")), "invalid_identifier", 4000),
    (
        "a listen with half a surrogate pair",
        client_frame(LISTEN.replace(b"chat", b"\\ud800")),
        "invalid_identifier",
        4000,
    ),
    ("a listen with a NUL", client_frame(LISTEN.replace(b"chat", b"\\u0000")), "invalid_identifier", 4000),
    (
        "a listen with half a pair for a key",
        client_frame(LISTEN.replace(b"}]", b',"secureKey":5}]')),
        "invalid_parameter",
        4000,
    ),
    ("a listen with a name twice", client_frame(b'{"type":"listen","type":"listen"}'), "invalid_parameter", 4000),
    ("over 16 KiB", client_frame(TOO_LONG), "body_too_large", 4000),
    (
        "over 16 KiB in fragments",
        client_frame(TOO_LONG[:9000], final=False) + client_frame(TOO_LONG[9000:], opcode=0),
        "body_too_large",
        4000,
    ),
    ("a length of 2^63", bytes((0x81, 0xFF)) + (2**63).to_bytes(8, "big") + b"mask", "body_too_large", 4000),
    (
        "a length of a gigabyte, told before it is read",
        bytes((0x81, 0xFF)) + (2**30).to_bytes(8, "big") + b"mask",
        "body_too_large",
        4000,
    ),
    ("unmasked", client_frame(LISTEN, masked=False), None, 1002),
    ("a reserved bit", bytes([client_frame(LISTEN)[0] | 0x40]) + client_frame(LISTEN)[1:], None, 1002),
    ("all reserved bits", bytes([client_frame(LISTEN)[0] | 0x70]) + client_frame(LISTEN)[1:], None, 1002),
    *[
        (f"the opcode {opcode}", client_frame(LISTEN, opcode=opcode), None, 1002)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    ],
    ("a fragmented ping", client_frame(b"x", opcode=9, final=False), None, 1002),
    ("a fragmented close", client_frame(b"\x03\xe8", opcode=8, final=False), None, 1002),
    ("a ping of 126 bytes", client_frame(b"x" * 126, opcode=9), None, 1002),
    ("a continuation of nothing", client_frame(LISTEN, opcode=0), None, 1002),
    ("a message within a message", client_frame(LISTEN[:5], final=False) + client_frame(LISTEN), None, 1002),
    ("invalid UTF-8", client_frame(LISTEN.replace(b"chat", b"\xff")), None, 1007),
    ("UTF-8 that is cut off", client_frame("é".encode()[:1]), None, 1007),
    ("a close of one byte", client_frame(b"x", opcode=8), None, 1002),
    ("a close with a code that is none", client_frame((999).to_bytes(2, "big"), opcode=8), None, 1002),
    ("a close with 1005", client_frame((1005).to_bytes(2, "big"), opcode=8), None, 1002),
    (
        "a close with a reason that is not UTF-8",
        client_frame((1000).to_bytes(2, "big") + b"\xff", opcode=8),
        None,
        1007,
    ),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", None, 1002),
]


@pytest.mark.parametrize("joined", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame[0])
def test_a_frame_that_is_wrong(server, witness, frame, joined):
    name, data, code, close = frame
    with WebSocket(server.port, f"/{API_KEY}/websocket") as listener:
        if joined:
            listener.send(LISTEN)
            listener.joined()
        listener.connection.send(data)
        if code is not None:
            error = listener.next("error")
            assert (error["code"], error["retry"]) == (code, None)
            assert error["detail"]
        assert listener.closed() == close
        listener.send(close.to_bytes(2, "big"), opcode=8)
        if name.startswith("a length of"):
            # The close frame lies within the announced message, so it is passed over. The peer must close its side.
            listener.connection.socket.shutdown(socket.SHUT_WR)
        assert listener.connection.rest() == b""
    witness.check()
    assert_clean(server.log.read_text())


@pytest.mark.parametrize("size", range(1, 60, 7))
def test_a_handshake_and_a_frame_that_end_anywhere(server, witness, size):
    """The peer closes in the middle of a request."""
    whole = request_bytes(
        "GET",
        f"/{API_KEY}/websocket",
        None,
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
        },
    )
    with Connection(server.port) as connection:
        connection.send(whole[: size * 3])
        connection.reset()
    with WebSocket(server.port, f"/{API_KEY}/websocket") as listener:
        listener.connection.send(client_frame(LISTEN)[:size])
        listener.connection.reset()
    witness.check()
    assert_clean(server.log.read_text())


def test_half_closed_peer_gets_the_whole_of_a_long_answer(server):
    """More waits than the kernel takes. So little is left in the process that the peer is still read from."""
    text = "x" * 20_000
    for _ in range(6):
        server.pushed("long", text)
    asked = request_bytes("GET", f"/{API_KEY}/identifiers/long/pushes", None, {"Authorization": f"Bearer {API_SECRET}"})
    with Connection(server.port, receive_buffer=4096) as peer:
        peer.send(asked)
        assert peer.socket.recv(1, socket.MSG_PEEK)  # the answer has begun
        peer.socket.shutdown(socket.SHUT_WR)
        time.sleep(0.1)  # the end has been read
        pushes = peer.answer().json["pushes"]
    assert [push["text"] for push in pushes] == [text] * 6
