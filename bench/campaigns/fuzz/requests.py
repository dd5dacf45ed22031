"""Requests as their parts, the odd lines of a head, and chunked bodies."""

from dataclasses import dataclass, field

from bench.campaigns.fuzz.draw import Draw, break_bytes
from bench.campaigns.fuzz.target import ACCOUNTS

FILES = ("/", "/latest/cometify.min.js", "/page.js", "/openapi.json", "/favicon.svg", "/latest/none.js")
ODD_TARGETS = (
    "//bench/push/chat", "/bench/push/chat/", "/bench//push/chat", "/bench/poll/", "/bench/./poll", "/../bench/poll",
    "*", "bench/poll", "http://h/bench/poll", "HTTP://h/bench/push/chat", "http://", "https://h", "/bench/poll?",
    "/bench/po%6cl", "/bench/poll%3fx", "/bench%2fpoll", "/%00", "/\xff/poll", "/bench/poll#x", "x:/bench/poll",
    "/" * 300, "/bench/" + "x" * 5000, "/bench/push/%", "/bench/push/%ff", "/bench/push/%2e%2e",
    "http://[::1/bench/poll", "http://h:99999999/bench/poll", "/bench/poll?identifiers=" + "a," * 3000,
    "/bench/poll?" + "&" * 3000, "/bench/poll?" + "a=1&" * 1500, "", "?", "/?",
)  # fmt: skip
ODD_METHODS = (
    "HEAD", "PUT", "OPTIONS", "post", "DELETE", "TRACE", "CONNECT", "PATCH", "G\xcbT", "M-SEARCH", "", "GET ", "PRI", "X" * 300,
)  # fmt: skip
ODD_LINES = (
    "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding:chunked",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: \x0bchunked",
    "Content-Length: 0", "Content-Length: 5", "Content-Length: +5", "Content-Length: 5, 5", "content-length: 005",
    "Content-Length:", "Content-Length: 5\t", "Content-Length: 0x5", "Content-Length: 1_0", "Content-Length: \xb2",
    "Content-Length: -1", "Content-Length: " + "9" * 5000, "Content-Length: 99999999", "Expect: 100-continue",
    "Expect: x", "Connection: close", "Connection: keep-alive, close", "Connection: close, foo", "connection: upgrade",
    "Connection:", "Connection: " + "," * 500, "Upgrade: h2c", "Upgrade: websocket", "TE: trailers", "Trailer: x",
    "X: y", "X: \t y \t", "X:y\tz", " folded: x", "\tfolded", "X: caf\xe9", "X: \x01", "X: \0", "X", "X : y", "",
    "X_y: z", ":x", "X: a\x0bb", "X: a\rb", "X: a\nb", "Origin: https://good.example", "Origin: https://evil.example",
    "Origin: null", "Origin: \xff", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: " + "1," * 500,
    "X-Forwarded-Proto: https", "Forwarded: for=1", "Last-Event-ID: 0", "Last-Event-ID: x",
    "Last-Event-ID: 9007199254740992", "Last-Event-ID: " + "9" * 5000, "Accept-Encoding: gzip",
    "Accept-Encoding: gzip;q=0, *;q=" + "0" * 500, "Accept-Encoding: " + ",;q=" * 500, "If-None-Match: *",
    "If-Modified-Since: x", "Range: bytes=0-1", "Host: other", "Host:", "Cookie: a=b", "Cookie: \xff;=",
    "Cometify-Signature: x", "Cometify-Timestamp: " + "9" * 13, "Cometify-Nonce: x", "Authorization: Bearer x",
    "Authorization: ", "Keep-Alive: timeout=5", "Content-Encoding: gzip", "Content-Type: application/json",
    "Content-Type: text/html", "HTTP2-Settings: x", "X: " + "y" * 20000, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12, 13", "X: y\r\n" * 600,
    "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: x, x", "Accept: text/event-stream",
)  # fmt: skip


@dataclass
class Request:
    """A request. `endless`: its answer does not end."""

    method: str
    target: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    endless: bool = False

    def head(self, lines: list[str], version: str = "HTTP/1.1") -> bytes:
        """Return the head, with these lines after the headers."""
        named = [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([f"{self.method} {self.target} {version}", *named, *lines, "", ""]).encode(
            "latin-1", "replace"
        )

    def whole(self, *more: str) -> bytes:
        """Return the request with a right length and a host."""
        length = [f"Content-Length: {len(self.body)}"] if self.body or self.method == "POST" else []
        return self.head(["Host: localhost", *length, *more]) + self.body

    def chunked(self, draw: Draw) -> bytes:
        """Return the request with its body in chunks."""
        return self.head(["Host: localhost", "Transfer-Encoding: chunked"]) + chunks(draw, self.body)

    def odd(self, draw: Draw) -> bytes:
        """Return the request with odd lines in its head, another method, target or version, or a wrong length."""
        if draw.chance(0.25):
            self.target = draw.choice(ODD_TARGETS)
        if draw.chance(0.2):
            self.method = draw.choice(ODD_METHODS)
        lines = draw.pick(["Host: localhost"], ["Host: localhost"], ["Host: localhost"], ["host:x"], [])
        size = len(self.body) + draw.pick(0, 0, 0, 0, 1, -1, 100)
        if self.body and draw.chance(0.8):
            lines = [*lines, f"Content-Length: {max(size, 0)}"]
        lines = [*lines, *draw.some(ODD_LINES, 3)]
        draw.shuffle(lines)
        version = draw.pick(
            *["HTTP/1.1"] * 8, "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "", "HTTP/1.10"
        )
        return self.head(lines, version) + self.body


def chunks(draw: Draw, data: bytes) -> bytes:
    """Return data as a chunked body, with spellings that RFC 9112, section 7.1 allows."""
    parts = []
    while data:
        size = draw.pick(1, 2, 7, 64, len(data))
        parts.append(f"{min(size, len(data)):{draw.pick('x', 'X', '03x')}}".encode())
        parts += [draw.pick(b"", b"", b";a=b"), b"\r\n", data[:size], b"\r\n"]
        data = data[size:]
    return b"".join([*parts, b"0\r\n", draw.pick(b"", b"", b"", b"X: y\r\n"), b"\r\n"])


def broken_chunks(draw: Draw, data: bytes) -> bytes:
    """Return a chunked body that is wrong somewhere."""
    return draw.pick(
        break_bytes(draw, chunks(draw, data)),
        draw.pick(b"-1", b"0x5", b"+5", b"5 ", b"g", b"", b"f" * 20, b"5\n", b"5;" + b"a" * 5000)
        + b"\r\nhello\r\n0\r\n\r\n",
        chunks(draw, data)[:-2] + b"X" * draw.pick(1, 20_000),
    )


def garbage(draw: Draw) -> bytes:
    """Return bytes that are not a request, or only look like one."""
    return draw.pick(
        draw.randbytes(draw.pick(1, 5, 50, 500)),
        b"\x16\x03\x01" + draw.randbytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(40),
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * draw.pick(1, 3, 2000),
        f"GET /{draw.choice(list(ACCOUNTS))}/poll".encode() + draw.pick(b" ", b"\t", b"\0") * draw.pick(1, 5000),
        b"A" * draw.pick(10, 5000, 40_000),
        bytes(draw.choice(b"GET /POSTHTTP1. :\r\n\r\n\0%?&=") for _ in range(draw.randrange(200))),
    )
