"""WebSocket handshakes and frames (RFC 6455, RFC 7692): right ones and wrong ones."""

import struct
import zlib
from base64 import b64encode

from bench.campaigns.fuzz.draw import Draw, break_bytes, cut
from bench.campaigns.fuzz.listening import listen, odd_listen, odd_query, query
from bench.campaigns.fuzz.requests import ODD_LINES, Request
from bench.campaigns.fuzz.target import ACCOUNTS
from bench.rig.wire import compact

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
_OFFERS = (
    "permessage-deflate", "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=99",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover", "permessage-deflate; x",
    "x, permessage-deflate", "permessage-deflate;" * 100, 'permessage-deflate; server_max_window_bits="10"', ",", ";",
    "\xff", "x-webkit-deflate-frame",
)  # fmt: skip
_CLOSINGS = (
    b"", b"\x03\xe8", b"\x03", b"\xff\xff", b"\x03\xe8\xff", b"\x03\xed", b"\x03\xe8" + b"x" * 123, b"\x0f\xa0", b"\0\0",
)  # fmt: skip


def handshake(draw: Draw, key: str, *, words: str | None = None, deflates: bool = False) -> Request:
    """Return a right handshake. `words`: its query."""
    headers = [
        ("Upgrade", draw.pick("websocket", "WebSocket")),
        ("Connection", draw.pick("Upgrade", "keep-alive, Upgrade")),
        ("Sec-WebSocket-Key", b64encode(draw.randbytes(16)).decode()),
        ("Sec-WebSocket-Version", "13"),
    ]
    headers += [DEFLATE] if deflates else []
    return Request("GET", f"/{key}/websocket" + ("" if words is None else f"?{words}"), headers, endless=True)


def odd_handshake(draw: Draw) -> bytes:
    """Return a handshake of which something is wrong."""
    key = draw.pick(*ACCOUNTS, "nokey")
    words = draw.pick(None, query(draw, key), odd_query(draw, key))
    request = handshake(draw, key, words=words, deflates=draw.chance(0.3))
    for _ in range(draw.pick(0, 1, 1, 2)):
        at = draw.randrange(len(request.headers))
        name, _value = request.headers[at]
        change = draw.randrange(4)
        if change == 0:
            del request.headers[at]
        elif change == 1:
            request.headers[at] = (
                name,
                draw.pick("", "x", "12", "websocket", "Upgrade", "==", "\xff" * 24, "A" * 5000, "13, 13"),
            )
        elif change == 2:
            request.headers.insert(at, request.headers[at])
        else:
            request.headers.append(
                draw.pick(("Sec-WebSocket-Extensions", draw.choice(_OFFERS)), ("Sec-WebSocket-Protocol", "x,,y"))
            )
        if not request.headers:
            break
    if draw.chance(0.2):
        return request.odd(draw)
    if draw.chance(0.2):
        return break_bytes(draw, request.whole())
    return request.whole(*draw.some([line for line in ODD_LINES if "\r\n" not in line], 1))


def frame(draw: Draw, opcode: int, data: bytes = b"", *, last: bool = True, reserved: int = 0) -> bytes:
    """Return a right frame."""
    mask = draw.randbytes(4)
    size = len(data)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + struct.pack(">H", size)
        if size < 65_536
        else b"\xff" + struct.pack(">Q", size)
    )
    key = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return bytes([(0x80 if last else 0) | reserved | opcode]) + length + mask + masked


def _odd_frame(draw: Draw) -> bytes:
    """Return one frame of which something may be wrong."""
    data = draw.pick(b"", b"x", b"\xff\xfe", b"x" * 126, draw.randbytes(30), b"x" * 16_385)
    reserved = draw.pick(0, 0x10, 0x20, 0x40, 0x70)
    not_masked = bytes([0x81, len(data) & 0x7F]) + data
    long_length = draw.pick(b"\xff" * 8, b"\x7f" + b"\xff" * 7, struct.pack(">Q", 5))
    return draw.pick(
        frame(draw, draw.randrange(16), data, last=draw.chance(0.6), reserved=reserved),
        not_masked,
        b"\x81\xfe\0\x05" + bytes(4) + b"hello",  # a length that is not the shortest
        b"\x81\xff" + long_length + bytes(4) + b"hello",
        frame(draw, CLOSE, draw.choice(_CLOSINGS)),
        frame(draw, draw.pick(PING, PONG, CLOSE), data, last=draw.chance(0.7)),
        draw.randbytes(draw.pick(1, 2, 10, 200)),
    )


def _deflated(draw: Draw, data: bytes, *, odd: bool) -> bytes:
    deflate = zlib.compressobj(draw.pick(1, 9), zlib.DEFLATED, -15)
    whole = deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH if not odd else draw.pick(2, 3, 4))
    packed = whole.removesuffix(b"\0\0\xff\xff")
    return break_bytes(draw, packed) if odd and draw.chance(0.5) else packed


def _message(draw: Draw, data: bytes, *, deflates: bool) -> bytes:
    """Return a text message: in one frame or in fragments, with a control frame between them, perhaps compressed."""
    reserved = 0
    if deflates and draw.chance(0.5):
        data, reserved = _deflated(draw, data, odd=False), 0x40
    if draw.chance(0.7):
        return frame(draw, TEXT, data, reserved=reserved)
    parts = cut(draw, data) if draw.chance(0.9) else (data, b"")
    frames = []
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        frames.append(frame(draw, TEXT if first else 0, part, last=last, reserved=reserved if first else 0))
        if not last and draw.chance(0.3):
            frames.append(frame(draw, draw.pick(PING, PONG), b"between"))
    return b"".join(frames)


def messages(draw: Draw, key: str, *, deflates: bool) -> bytes:
    """Return right messages: `listen` frames, pings and pongs, and a close frame at the end."""
    parts = []
    for _ in range(draw.pick(0, 1, 1, 2, 4)):
        control = frame(draw, draw.pick(PING, PONG), draw.pick(b"", b"x", b"x" * 125))
        parts.append(control if draw.chance(0.4) else _message(draw, compact(listen(draw, key)), deflates=deflates))
    return b"".join([*parts, frame(draw, CLOSE, draw.pick(b"", b"\x03\xe8", b"\x03\xe9bye"))])


def odd_messages(draw: Draw, key: str, *, deflates: bool) -> bytes:
    """Return messages of which some are wrong: their JSON, their frames, their compression, their UTF-8."""
    parts = []
    for _ in range(draw.pick(1, 1, 2, 3, 6)):
        data = odd_listen(draw, key)[:60_000]
        how = draw.randrange(6)
        if how < 2:
            parts.append(_message(draw, data, deflates=deflates))
        elif how == 2:
            packed = _deflated(draw, data, odd=True)
            parts.append(frame(draw, TEXT, packed, reserved=draw.pick(0x40, 0x40, 0), last=draw.chance(0.8)))
        elif how == 3:
            parts.append(frame(draw, TEXT, draw.pick(b"\xff", b"\xc3\x28", b"\xed\xa0\x80", data + b"\xe2\x82")))
        else:
            parts.append(_odd_frame(draw))
    whole = b"".join(parts)
    return break_bytes(draw, whole) if draw.chance(0.3) else whole
