"""The n-th input of a seed: the bytes of one conversation, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.campaigns.fuzz import listening, pushing, websockets
from bench.campaigns.fuzz.draw import Draw, break_bytes, cut, new_draw
from bench.campaigns.fuzz.requests import FILES, Request, broken_chunks, garbage
from bench.campaigns.fuzz.target import ACCOUNTS

ENDINGS: Final = ("finish", "reset", "wait")
"""The ends of a conversation: the client shuts down its side, or resets the connection, or waits for the server to close."""


@dataclass(frozen=True)
class Input:
    """One conversation. `pieces` are sent one by one.

    `answers`: so many answers must come. `closes`: the server must close by itself. `awaits`: the first answer is awaited
    after the first piece.
    """

    number: int
    kind: str
    pieces: tuple[bytes, ...]
    answers: int = 0
    closes: bool = False
    awaits: bool = False
    ending: str = "finish"


@dataclass(frozen=True)
class Made:
    """The part of an input that its kind decides."""

    pieces: tuple[bytes, ...]
    answers: int = 0
    closes: bool = False
    awaits: bool = False


def _right(draw: Draw) -> Request:
    """Return a right request of any kind, except for a handshake."""
    kind = draw.randrange(8)
    if kind < 3:
        return pushing.push(draw)
    if kind == 3:
        return Request("GET", draw.choice((*FILES, f"/{draw.choice(list(ACCOUNTS))}/position")))
    transport = draw.pick("poll", "poll", "stream", "events")
    if transport != "events" and draw.chance(0.5):
        return listening.by_frame(draw, transport)
    return listening.by_query(draw, transport)


def _any(draw: Draw) -> Request:
    """Return a request with right lengths and perhaps a wrong meaning."""
    kind = draw.randrange(6)
    if kind == 0:
        return pushing.odd_push(draw)
    if kind == 1:
        return listening.by_query(draw, draw.choice(listening.TRANSPORTS), odd=True)
    if kind == 2:
        return listening.by_frame(draw, draw.pick("poll", "stream", "events"), odd=True)
    return _right(draw)


def _request(draw: Draw) -> Made:
    return Made((_right(draw).whole(),), answers=1)


def _request_in_pieces(draw: Draw) -> Made:
    return Made(cut(draw, _right(draw).whole()), answers=1)


def _pipelined(draw: Draw) -> Made:
    """Make requests that are sent together. An answer that does not end can only be the last one."""
    found = [request for request in (_right(draw) for _ in range(draw.pick(2, 3, 5, 10, 30))) if not request.endless]
    found = found or [Request("GET", "/")]
    closes = draw.chance(0.5)
    parts = [request.whole() for request in found[:-1]]
    parts.append(found[-1].whole(*["Connection: close"] * closes))
    whole = b"".join(parts)
    pieces = cut(draw, whole) if draw.chance(0.3) else (whole,)
    return Made(pieces, len(found), closes)


def _chunked(draw: Draw) -> Made:
    request = _any(draw)
    request.method = "POST"
    if "/websocket" in request.target:
        request.target = request.target.replace("/websocket", "/poll")
    whole = request.chunked(draw)
    return Made(cut(draw, whole) if draw.chance(0.3) else (whole,), answers=1)


def _odd_chunks(draw: Draw) -> Made:
    request = _any(draw)
    head = request.head(["Host: localhost", "Transfer-Encoding: chunked"])
    whole = head + broken_chunks(draw, request.body)
    return Made(cut(draw, whole) if draw.chance(0.3) else (whole,))


def _odd_push(draw: Draw) -> Made:
    return Made((pushing.odd_push(draw).whole(),), answers=1)


def _batch(draw: Draw) -> Made:
    return Made((pushing.batch(draw).whole(),), answers=1)


def _odd_query(draw: Draw) -> Made:
    return Made((listening.by_query(draw, draw.choice(listening.TRANSPORTS), odd=True).whole(),), answers=1)


def _odd_listen(draw: Draw) -> Made:
    return Made((listening.by_frame(draw, draw.pick("poll", "stream", "events"), odd=True).whole(),), answers=1)


def _odd_head(draw: Draw) -> Made:
    whole = b"".join(_any(draw).odd(draw) for _ in range(draw.pick(1, 1, 1, 2, 4)))
    return Made(cut(draw, whole) if draw.chance(0.2) else (whole,))


def _broken(draw: Draw) -> Made:
    whole = break_bytes(draw, b"".join(_any(draw).whole() for _ in range(draw.pick(1, 1, 1, 2, 4))))
    return Made(cut(draw, whole) if draw.chance(0.2) else (whole,))


def _garbage(draw: Draw) -> Made:
    return Made((garbage(draw),))


def _handshake(draw: Draw) -> Made:
    key = draw.choice(list(ACCOUNTS))
    words = draw.pick(None, listening.query(draw, key), listening.odd_query(draw, key))
    whole = websockets.handshake(draw, key, words=words, deflates=draw.chance(0.3)).whole()
    return Made(cut(draw, whole) if draw.chance(0.2) else (whole,), answers=1)


def _odd_handshake(draw: Draw) -> Made:
    return Made((websockets.odd_handshake(draw),))


def _websocket(draw: Draw) -> Made:
    key, deflates = draw.choice(list(ACCOUNTS)), draw.chance(0.4)
    words = draw.pick(None, listening.query(draw, key))
    head = websockets.handshake(draw, key, words=words, deflates=deflates).whole()
    rest = websockets.messages(draw, key, deflates=deflates)
    return _after_handshake(draw, head, rest, closes=True)


def _odd_websocket(draw: Draw) -> Made:
    key, deflates = draw.choice(list(ACCOUNTS)), draw.chance(0.4)
    words = draw.pick(None, None, listening.query(draw, key))
    head = websockets.handshake(draw, key, words=words, deflates=deflates).whole()
    rest = websockets.odd_messages(draw, key, deflates=deflates)
    return _after_handshake(draw, head, rest, closes=False)


def _after_handshake(draw: Draw, head: bytes, rest: bytes, *, closes: bool) -> Made:
    """Send frames after the answer to the handshake, or together with the handshake, as RFC 6455 does not forbid."""
    if draw.chance(0.2):
        return Made((head + rest,), 1, closes)
    return Made((head, *(cut(draw, rest) if draw.chance(0.4) else (rest,))), 1, closes, awaits=True)


KINDS: dict[str, tuple[int, Callable[[Draw], Made]]] = {
    "requests": (10, _request),
    "requests in pieces": (6, _request_in_pieces),
    "pipelined requests": (4, _pipelined),
    "chunked bodies": (5, _chunked),
    "broken chunks": (4, _odd_chunks),
    "odd pushes": (12, _odd_push),
    "batches": (4, _batch),
    "odd queries": (8, _odd_query),
    "odd listen frames by HTTP": (8, _odd_listen),
    "odd heads": (10, _odd_head),
    "broken requests": (10, _broken),
    "garbage": (3, _garbage),
    "handshakes": (4, _handshake),
    "odd handshakes": (6, _odd_handshake),
    "WebSocket messages": (5, _websocket),
    "odd WebSocket messages": (15, _odd_websocket),
}
"""Each kind of input: its weight among all, and its maker."""
LONGEST_HEAD = 16_000
"""A longer head may be closed without an answer, because the server reads no line of more than 16 KiB."""
_NAMES = [kind for kind, (weight, _make) in KINDS.items() for _ in range(weight)]


def make_input(seed: int, number: int, clock: int) -> Input:
    """Make an input. The same arguments give the same input."""
    draw = new_draw(seed, number, clock)
    kind = draw.choice(_NAMES)
    made = KINDS[kind][1](draw)
    ending = draw.choices(ENDINGS, (93, 6.7, 0.3))[0]
    is_long = b"".join(made.pieces).find(b"\r\n\r\n") > LONGEST_HEAD
    answers = 0 if is_long else made.answers
    return Input(number, kind, made.pieces, answers, made.closes, made.awaits and not is_long, ending)
