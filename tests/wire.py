"""The public edge as a client sees it: plain sockets, no code of the server's."""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

API_KEY = "37282591"
API_SECRET = "dj28DNam!!nx72*"


def md5hex(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def secure(identifier: str, text: str, key: str = API_KEY, secret: str = API_SECRET) -> str:
    return md5hex(key + md5hex(secret) + identifier + text)


def secure_key(*names: str, key: str = API_KEY, secret: str = API_SECRET) -> str:
    return md5hex(key + secret + md5hex(",".join(names)))


def jwt(claims: Any, secret: str = API_SECRET, header: Any = None) -> str:
    """A JWT, signed with HS256 for any header. A string is taken as the JSON text itself."""
    parts = [{"alg": "HS256", "typ": "JWT"} if header is None else header, claims]
    return jwt_signed(
        ".".join([_base64url((p if isinstance(p, str) else json.dumps(p)).encode()) for p in parts]), secret
    )


def jwt_signed(signed: str, secret: str = API_SECRET) -> str:
    """The first two parts of a JWT, and the third, which signs them."""
    return signed + "." + _base64url(hmac.digest(secret.encode(), signed.encode(), "sha256"))


def seal(
    path: str,
    body: bytes,
    timestamp: float | str,
    nonce: str,
    secret: str = API_SECRET,
    kind: str = "",
    key: str = "",
    method: str = "POST",
) -> dict[str, str]:
    """The headers of a request that is signed with HMAC. `kind`, `key`: its Content-Type and Idempotency-Key, empty: none."""
    stamp = timestamp if isinstance(timestamp, str) else str(int(timestamp))
    signed = "\n".join(["v2", method, path, stamp, nonce, kind, key, hashlib.sha256(body).hexdigest()])
    digest = hmac.digest(secret.encode(), signed.encode(), "sha256").hex()
    sent = {"Content-Type": kind, "Idempotency-Key": key}
    return {
        "Cometify-Timestamp": stamp,
        "Cometify-Nonce": nonce,
        "Cometify-Signature": digest,
        **{name: value for name, value in sent.items() if value},
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Answer:
    """A whole HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:300]!r}>"


class Connection:
    """A connection with a deadline on everything. `port`: of TCP, or the path of a Unix socket. `preamble` is sent
    first, then `wrap` makes TLS of the socket. `segment`: bytes of TCP's; with loopback's 65,483 a whole segment fits
    into the smallest send buffer, and a small receive buffer that was full accepts nothing for a while. `source`: the
    peer's own address.
    """

    def __init__(
        self, port: int | str, timeout: float = 10.0, host: str = "127.0.0.1", receive_buffer: int | None = None,
        wrap: Callable[[socket.socket], socket.socket] | None = None, preamble: bytes = b"", segment: int | None = None,
        source: str = "",
    ) -> None:  # fmt: skip
        self.socket = socket.socket(socket.AF_UNIX if isinstance(port, str) else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if segment:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        self.socket.settimeout(timeout)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(port if isinstance(port, str) else (host, port))
            self.socket.sendall(preamble)
            if wrap is not None:
                self.socket = wrap(self.socket)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()

    def reset(self) -> None:
        """Go without a word: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def fill(self) -> bool:
        """Read some more; False at the end."""
        data = self.socket.recv(1 << 16)
        self.buffer += data
        return bool(data)

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            if not self.fill():
                raise EOFError(f"ended with {self.buffer!r}")
        data, self.buffer = self.buffer.split(end, 1)
        return data

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not self.fill():
                raise EOFError(f"ended with {len(self.buffer)} of {size} bytes")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def rest(self) -> bytes:
        with suppress(ConnectionResetError):
            while self.fill():
                pass
        data, self.buffer = self.buffer, b""
        return data

    def head(self) -> tuple[int, dict[str, str]]:
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1]), headers

    def ask(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send a request and read the head of its answer. Closes the connection if none comes."""
        try:
            self.send(request)
            return self.head()
        except (OSError, EOFError):
            self.close()
            raise

    def answer(self) -> Answer:
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, b"".join(self.chunks()))
        if "content-length" in headers:
            return Answer(status, headers, self.exactly(int(headers["content-length"])))
        return Answer(status, headers, b"" if status in (204, 304) else self.rest())

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.until(b"\r\n"), 16):
            yield self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"


def request_bytes(
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    lines = [f"{method} {target} {version}"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in {"Host": "localhost", **(headers or {})}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def form(fields: dict[str, str | bytes]) -> bytes:
    from urllib.parse import urlencode

    return urlencode(fields).encode()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Client:
    """Requests to one server. `port`: its HTTP port."""

    def __init__(self, port: int, websocket_port: int = 0, admin_port: int = 0) -> None:
        self.port = port
        self.websocket_port = websocket_port
        self.admin_port = admin_port

    def request(
        self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None, port: int = 0
    ) -> Answer:
        with Connection(port or self.port) as connection:
            connection.send(request_bytes(method, target, body, {"Connection": "close", **(headers or {})}))
            return connection.answer()

    def push(
        self, identifier: str, text: str, secret: int = 0, push_id: int | None = None, key: str = API_KEY, **more: str
    ) -> Answer:
        fields: dict[str, str | bytes] = {
            "identifier": identifier,
            "text": text,
            "secret": str(secret),
            "secure": secure(identifier, text, key),
            **more,
        }
        if push_id is not None:
            fields["push_id"] = str(push_id)
        return self.request("POST", f"/{key}/push/{identifier}", form(fields), FORM)

    def pushed(self, identifier: str, text: str, secret: int = 0, push_id: int | None = None) -> int:
        """Push, and give back the position."""
        answer = self.push(identifier, text, secret, push_id)
        assert answer.status == 200, answer
        return answer.json["position"]

    def poll(self, frame: dict[str, Any] | None = None, query: str = "", **headers: str) -> Answer:
        if frame is None:
            return self.request("GET", f"/{API_KEY}/poll?{query}", headers=headers)
        return self.request("POST", f"/{API_KEY}/poll", json.dumps({"type": "listen", **frame}).encode(), headers)

    def stream(
        self, query: str = "", path: str = "stream", headers: dict[str, str] | None = None, **more: Any
    ) -> "Stream":
        return Stream(self.port, f"/{API_KEY}/{path}?{query}", headers, **more)

    def websocket(self, query: str = "", headers: dict[str, str] | None = None, **more: Any) -> "WebSocket":
        return WebSocket(self.port, f"/{API_KEY}/websocket" + (f"?{query}" if query else ""), headers, **more)


class Frames:
    """The frames of a transport, one after the other."""

    connection: Connection

    def frame(self) -> dict[str, Any]:
        raise NotImplementedError

    def next(self, kind: str) -> dict[str, Any]:
        """The next frame, which must be of this type."""
        frame = self.frame()
        assert frame["type"] == kind, frame
        return frame

    def joined(self) -> dict[str, Any]:
        """Read up to the end of the replay when there is none: ready, heartbeat. Returns the ready."""
        ready = self.next("ready")
        self.next("heartbeat")
        return ready

    def texts(self, count: int) -> list[str]:
        """Return the texts of the next pushes. Passes over other frames."""
        texts: list[str] = []
        while len(texts) < count:
            frame = self.frame()
            if frame["type"] == "push":
                texts.append(frame["text"])
            assert frame["type"] != "error", frame
        return texts

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "Any":
        return self

    def __exit__(self, *_args: object) -> None:
        self.close()


class Stream(Frames):
    """A stream or an event stream."""

    def __init__(
        self, port: int | str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None,
        version: str = "HTTP/1.1", **more: Any,
    ) -> None:  # fmt: skip
        self.connection = Connection(port, **more)
        request = request_bytes("GET" if body is None else "POST", target, body, headers, version)
        self.status, self.headers = self.connection.ask(request)
        self.events: list[dict[str, str]] = []
        self._chunked = self.headers.get("transfer-encoding") == "chunked"
        self._chunks = self.connection.chunks()
        self._text = b""

    def raw(self, end: bytes) -> bytes:
        while end not in self._text:
            if self._chunked:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise EOFError(f"the answer ended with {self._text!r}")
                self._text += chunk
            else:
                if not self.connection.buffer and not self.connection.fill():
                    raise EOFError(f"the connection ended with {self._text!r}")
                self._text += self.connection.buffer
                self.connection.buffer = b""
        data, self._text = self._text.split(end, 1)
        return data

    def frame(self) -> dict[str, Any]:
        if "event-stream" not in self.headers["content-type"]:
            return json.loads(self.raw(b"\n"))
        event = dict(line.split(": ", 1) for line in self.raw(b"\n\n").decode().split("\n"))
        self.events.append(event)
        return json.loads(event["data"])


class Closed(Exception):
    """The server closed the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


class WebSocket(Frames):
    """A WebSocket client that can also misbehave."""

    def __init__(self, port: int | str, target: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        self.connection = Connection(port, **more)
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        self.status, self.headers = self.connection.ask(request_bytes("GET", target, None, upgrade))
        self.pongs: list[bytes] = []
        self.compressed = 0  # messages that came so

    def send(self, data: bytes, opcode: int = 1, final: bool = True, masked: bool = True, reserved: int = 0) -> None:
        self.connection.send(client_frame(data, opcode, final, masked, reserved))

    def listen(self, *groups: dict[str, Any], **more: Any) -> None:
        self.send(json.dumps({"type": "listen", "groups": groups, **more}).encode())

    def message(self) -> tuple[int, bytes]:
        first, second = self.connection.exactly(2)
        compressed = first & 0x70 == 0x40 and "sec-websocket-extensions" in self.headers
        assert compressed or first & 0x70 == 0
        self.compressed += compressed
        assert second < 128, "a server's frames are not masked"
        length = second
        if length == 126:
            length = int.from_bytes(self.connection.exactly(2), "big")
        elif length == 127:
            length = int.from_bytes(self.connection.exactly(8), "big")
        data = self.connection.exactly(length)
        return first & 15, inflated(data) if compressed else data

    def frame(self) -> dict[str, Any]:
        while True:
            opcode, data = self.message()
            if opcode == 1:
                return json.loads(data)
            if opcode == 8:
                raise Closed(int.from_bytes(data[:2], "big") if data else 1005, data[2:].decode())
            assert opcode == 10
            self.pongs.append(data)

    def closed(self) -> int:
        """Read up to the close frame; its code."""
        try:
            while True:
                self.frame()
        except Closed as closed:
            return closed.code


DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def deflated(data: bytes) -> bytes:
    """The data of a compressed message (RFC 7692, section 7.2.1)."""
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")


def client_frame(data: bytes, opcode: int = 1, final: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """`reserved`: the bits; 0x40 says that `data` is compressed."""
    length = len(data)
    head = bytes([opcode | reserved | (128 if final else 0)])
    bit = 128 if masked else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + length.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + data
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def eventually(condition: Any, seconds: float = 10.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not become so"
        time.sleep(0.01)
