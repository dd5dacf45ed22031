"""The attacks that are known. Each one does without a right: strangers know the API key, which every page shows."""

import json
import ssl
import struct
import time
import zlib
from collections.abc import Callable
from functools import lru_cache
from itertools import chain

from bench.campaigns.attacks.attack import MEGABYTE, Attack, Bounds
from bench.rig import wire
from bench.rig.account import KEY

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}
_MULTIPART = {"Content-Type": "multipart/form-data; boundary=B"}
_BODY = 524_288
"""The longest body of a push, in bytes."""
_BATCH = 8_388_608
"""The longest body of a batch, in bytes."""
_SIGNED = {
    "Cometify-Timestamp": "1",
    "Cometify-Nonce": "n" * 16,
    "Cometify-Signature": "0" * 64,
}


def _always(data: bytes) -> Callable[[int], bytes]:
    return lambda _n: data


def _push(body: bytes, headers: dict[str, str], key: str = KEY) -> bytes:
    return wire.request("POST", f"/{key}/push/a", headers, body)


def _plausible_batch(_n: int) -> bytes:
    """Return a batch of 8 MB whose head may be genuine, without its last byte."""
    return _batch_of(int(time.time()) // 60 * 60)


@lru_cache(1)
def _batch_of(now: int) -> bytes:
    # A hundred connections that send it have it in memory once.
    headers = _SIGNED | {"Cometify-Timestamp": str(now)}
    return wire.request("POST", f"/{KEY}/push", headers, bytes(_BATCH))[:-1]


def _chopped_batch(_n: int) -> bytes:
    """Return a batch whose head may be genuine, in chunks of one byte."""
    head = wire.request("POST", f"/{KEY}/push", _SIGNED | {"Cometify-Timestamp": str(int(time.time()))})
    return head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"1\r\n[\r\n" * 100_000


def _frame(opcode: int, data: bytes = b"", *, last: bool = True, compressed: bool = False) -> bytes:
    """Return a frame whose mask is zero, so that its data stands in it as it is (RFC 6455, section 5.2)."""
    first = opcode | (0x80 if last else 0) | (0x40 if compressed else 0)
    length = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + struct.pack(">H", len(data))
    return bytes([first]) + length + b"\0\0\0\0" + data


def _fragments(data: bytes, count: int) -> Callable[[int], bytes]:
    """Return payloads of fragments of one message that never ends. The first fragment begins it."""
    rest = _frame(0, data, last=False) * count
    return lambda n: (_frame(1, data, last=False) if n == 0 else b"") + rest


def _websocket(headers: dict[str, str] | None = None, query: str = "?identifiers=a") -> bytes:
    return wire.request("GET", f"/{KEY}/websocket{query}", wire.UPGRADE | (headers or {}))


def _listen(groups: list[dict[str, object]]) -> bytes:
    return wire.compact({"type": "listen", "groups": groups})


def _new_names(count: int) -> Callable[[int], bytes]:
    """Return payloads of one poll for so many identifiers that nobody has listened to."""

    def payload(n: int) -> bytes:
        names = ",".join(f"n{n}_{number}" for number in range(count))
        return wire.request("GET", f"/{KEY}/poll?identifiers={names}")

    return payload


def _bomb() -> bytes:
    """Return a compressed message of 16 MB in a frame of less than 16 KiB."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(bytes(16_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return _frame(1, data[:-4][:16_000], compressed=True)


def _client_hello() -> bytes:
    """Return the first bytes of a TLS handshake."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without the server's answer")


_BAD_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjl9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105 - it is wrong

_PIPELINES = [
    Attack(
        "pipelined files, nothing read",
        _always(wire.request("GET", "/latest/cometify.mjs.map") * 1500),
        reads=False,
    ),
    Attack("pipelined requests that are answered with 404", _always(wire.request("GET", "/x") * 1500)),
    Attack("pipelined requests with an odd header", _always(wire.request("GET", f"/{KEY}/x", {"X": "y"}) * 1000)),
    Attack("pipelined files, read", _always(wire.request("GET", "/latest/cometify.min.js") * 1500)),
    Attack("pipelined polls that join", _always(wire.request("GET", f"/{KEY}/poll?identifiers=a") * 1000)),
    Attack("pipelined polls with an unknown API key", _always(wire.request("GET", "/nokey/poll?identifiers=a") * 1000)),
]

_BODIES = [
    Attack("pushes with a wrong signature", _always(_push(b"text=hello&secret=0&secure=" + b"0" * 32, _FORM) * 300)),
    Attack(
        "pushes of 64 KB with a wrong signature",
        _always(_push(b"text=" + b"y" * 65_000 + b"&secret=0&secure=" + b"0" * 32, _FORM)),
    ),
    *(
        Attack(f"forms of 512 KiB of {sample}", _always(_push((sample.encode() * _BODY)[:_BODY], _FORM)))
        for sample in ("%", "&", "a=&", "%41")
    ),
    Attack("forms of 512 KiB of % to an unknown API key", _always(_push(b"%" * _BODY, _FORM, "nokey"))),
    Attack("a text of 512 KiB of %41", _always(_push((b"text=" + b"%41" * _BODY)[:_BODY], _FORM))),
    Attack(
        "JSON with 45,000 names",
        _always(_push(b"{" + b",".join(b'"k%d":0' % n for n in range(45_000)) + b"}", _JSON)),
        bounds=Bounds(turn=0.060),
    ),
    Attack("JSON of 512 KiB of [", _always(_push(b"[" * _BODY, _JSON))),
    Attack("JSON with numbers of 4,000 digits", _always(_push(b"[" + b",".join([b"1" * 4000] * 120) + b"]", _JSON))),
    Attack(
        "multipart with 128 parts",
        _always(
            _push(
                b"".join(
                    b'--B\r\nContent-Disposition: form-data; name="x%d"\r\n' % n + b"X: y\r\n" * 6 + b"\r\nv\r\n"
                    for n in range(128)
                )
                + b"--B--\r\n",
                _MULTIPART,
            )
        ),
    ),
    Attack(
        "multipart with 125,000 lines of dashes",
        _always(
            _push(
                b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"\r\n--" * 125_000 + b"\r\n--B--\r\n",
                _MULTIPART,
            )
        ),
    ),
    Attack(
        "chunks of one byte",
        _always(
            f"POST /{KEY}/push/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + b"1\r\na\r\n" * 20_000
            + b"0\r\n\r\n"
        ),
    ),
    Attack("batches in chunks of one byte that may be genuine", _chopped_batch),
    Attack(
        "batches of 8 MB with a wrong signature", _always(wire.request("POST", f"/{KEY}/push", _SIGNED, bytes(_BATCH)))
    ),
    Attack(
        "batches of 8 MB to an unknown API key, held one byte before their end",
        _always(wire.request("POST", "/nokey/push", _SIGNED, bytes(_BATCH))[:-1]),
        then="hold",
        connections=100,
    ),
    *(
        Attack(
            f"batches of 8 MB that may be genuine, held one byte before their end{more}",
            _plausible_batch,
            then="hold",
            connections=connections,
        )
        for more, connections in (("", 10), (", by many", 100))
    ),
    Attack(
        "a Content-Length of 5,000 digits",
        _always(f"POST /{KEY}/push/a HTTP/1.1\r\nHost: x\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode()),
        then="reconnect",
    ),
]

_JOINS = [
    Attack("polls for one new identifier each", _new_names(1)),
    Attack("polls for 100 new identifiers each", _new_names(100)),
    Attack(
        "polls with a wrong token",
        _always(wire.request("GET", f"/{KEY}/poll?identifiers=a&token={_BAD_TOKEN}") * 100),
    ),
    Attack(
        "polls with 100 groups and wrong keys",
        _always(
            wire.request(
                "POST",
                f"/{KEY}/poll",
                body=_listen([{"identifiers": [f"g{n}"], "secureKey": "0" * 32} for n in range(100)]),
            )
        ),
    ),
    Attack(
        "polls with 60 wrong tokens",
        _always(
            wire.request(
                "POST",
                f"/{KEY}/poll",
                body=_listen([{"identifiers": [f"g{n}"], "token": _BAD_TOKEN} for n in range(60)]),
            )
        ),
    ),
    Attack("WebSockets that join and leave", _always(_websocket()), then="reconnect"),
    Attack(
        "WebSockets that Autobahn must refuse",
        _always(_websocket({"Sec-WebSocket-Version": "99", "Sec-WebSocket-Protocol": "x"})),
        then="reconnect",
    ),
    Attack(
        "streams that join and leave", _always(wire.request("GET", f"/{KEY}/stream?identifiers=a")), then="reconnect"
    ),
]

_FRAMES = [
    Attack("pings without data", _always(_frame(9) * 10_000), opening=_websocket()),
    Attack("pings of 125 bytes", _always(_frame(9, b"x" * 125) * 500), opening=_websocket()),
    Attack("pings, nothing read", _always(_frame(9, b"x" * 125) * 500), opening=_websocket(), reads=False),
    Attack("pongs", _always(_frame(10) * 10_000), opening=_websocket()),
    Attack("empty fragments", _fragments(b"", 10_000), opening=_websocket()),
    Attack("fragments of one byte", _fragments(b"x", 1_000), opening=_websocket()),
    Attack(
        "listen frames",
        _always(_frame(1, _listen([{"identifiers": ["a"]}])) * 100),
        opening=_websocket(),
    ),
    Attack(
        "compressed messages of 16 MB",
        _always(_bomb()),
        opening=_websocket({"Sec-WebSocket-Extensions": "permessage-deflate"}),
    ),
]

_CONNECTIONS = [
    Attack("connections that say nothing", _always(b""), then="hold", connections=1000),
    Attack("heads without an end", _always(b"GET / HTTP/1.1\r\nHost: x\r\n"), then="hold", connections=1000),
    Attack(
        "heads of 16 KiB without an end",
        _always(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"y" * 16_000),
        then="hold",
        connections=500,
    ),
    Attack(
        "WebSockets that hold a fragment of 16 KB",
        _always(_websocket(query="") + _frame(1, b"{" * 16_000, last=False)),
        then="hold",
        connections=500,
    ),
    Attack("TLS handshakes", _always(_client_hello()), then="reconnect", port="tls"),
    Attack(
        "TLS handshakes that are held", _always(_client_hello()), then="hold", port="tls", connections=500,
        bounds=Bounds(memory=64 * MEGABYTE),
    ),
    Attack("garbage on the TLS port", _always(b"GET / HTTP/1.1\r\n\r\n"), then="reconnect", port="tls"),
]  # fmt: skip

ATTACKS = {attack.name: attack for attack in chain(_PIPELINES, _BODIES, _JOINS, _FRAMES, _CONNECTIONS)}
"""All attacks by their names."""


def names() -> str:
    """The names of all attacks as JSON, for messages."""
    return json.dumps(list(ATTACKS))
