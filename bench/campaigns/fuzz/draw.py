"""The random choices of one input, and the ways to break bytes and JSON."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")

SCRAPS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b"\xff", b"\x80", b"%00", b"%", b"%zz", b"&", b"=", b":", b",", b" ", b"\t",
    b"?", b"#", b"/", b"//", b"..", b";", b"-1", b"0x10", b"99999999999999999999", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1\r\n",
    b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Host: x\r\n",
    b"{", b"[", b"]", b"}", b'"', b"\\", b"\\ud800", b"1e400", b"null", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"--",
)  # fmt: skip
"""Bytes that mean something to one of the parsers."""
ODD_VALUES: tuple[Any, ...] = (
    0, 1, -1, 1.5, 2**53 - 1, 2**53, 2**63, 10**30, 1e308, None, True, False, "", "a", "chat", "*", "0", "9" * 19, "9" * 5000,
    [], {}, [[]], {"a": {}}, ["chat", "chat"], {"chat": 0}, {"chat": "9" * 19}, {"chat": 1.5}, ["a"] * 101, "\0", "\ud800", "é",
    "chat\n", "0" * 32, "x.y.z", "." * 50,
)  # fmt: skip
"""JSON values that a parser may not expect."""


class Draw(random.Random):
    """The random choices of one input. `clock`: the Unix time that signatures and tokens are made for."""

    clock = 0

    def chance(self, share: float) -> bool:
        """True in this share of all calls."""
        return self.random() < share

    def pick(self, *choices: T) -> T:
        """Return one of the choices."""
        return choices[int(self.random() * len(choices))]

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        """Return up to so many of the choices, in any order, perhaps some twice."""
        return [self.choice(choices) for _ in range(self.randrange(most + 1))]


def new_draw(seed: int, number: int, clock: int) -> Draw:
    """Return the choices of an input, which are the same each time."""
    draw = Draw(f"{seed}:{number}")
    draw.clock = clock
    return draw


def break_bytes(draw: Draw, data: bytes) -> bytes:
    """Change a few places of the data."""
    broken = bytearray(data)
    for _ in range(draw.pick(1, 1, 1, 2, 3, 8)):
        at = draw.randrange(len(broken) + 1)
        to = min(len(broken), at + draw.pick(1, 1, 2, 8, 40))
        how = draw.randrange(7)
        if how == 0 and at < len(broken):
            broken[at] ^= 1 << draw.randrange(8)
        elif how == 1:
            del broken[at:to]
        elif how == 2:
            broken[at:at] = broken[at:to] * draw.pick(1, 2, 50)
        elif how == 3:
            broken[at:to] = draw.choice(SCRAPS)
        elif how == 4:
            broken[at:at] = draw.randbytes(draw.pick(1, 2, 16))
        elif how == 5 and draw.chance(0.3):
            del broken[at:]
        else:
            broken[at:at] = draw.choice(SCRAPS)
    return bytes(broken)


def break_value(draw: Draw, value: Any) -> Any:
    """Change a JSON value somewhere within it."""
    if draw.chance(0.3) or not isinstance(value, dict | list) or not value:
        return draw.choice(ODD_VALUES)
    if isinstance(value, list):
        at = draw.randrange(len(value))
        return [*value[:at], break_value(draw, value[at]), *value[at + draw.pick(0, 1, 1) :]]
    changed = dict(value)
    name = draw.choice(list(changed))
    if draw.chance(0.2):
        changed[draw.pick("", "x", "type", "Identifiers", "__proto__", "é")] = changed.pop(name)
    elif draw.chance(0.2):
        del changed[name]
    else:
        changed[name] = break_value(draw, changed[name])
    return changed


def as_json(draw: Draw, value: Any) -> bytes:
    """Return the value as JSON, in one of the spellings that mean the same."""
    text = json.dumps(value, separators=draw.pick((",", ":"), (", ", ": ")), ensure_ascii=draw.chance(0.7))
    return text.encode(errors="surrogatepass")


def broken_json(draw: Draw, value: Any) -> bytes:
    """Return JSON of a changed value, or changed JSON of the value."""
    if draw.chance(0.6):
        return as_json(draw, break_value(draw, value))
    if draw.chance(0.1):
        return draw.pick(b"[", b'{"a":', b'{"type":') * draw.pick(2, 100, 3000)
    return break_bytes(draw, as_json(draw, value))


def cut(draw: Draw, data: bytes) -> tuple[bytes, ...]:
    """Cut data into pieces, each of which is sent by itself."""
    if len(data) < 120 and draw.chance(0.1):
        return tuple(data[at : at + 1] for at in range(len(data)))
    places = sorted(draw.randrange(len(data) + 1) for _ in range(draw.pick(1, 1, 2, 3, 6)))
    ends = [0, *places, len(data)]
    return tuple(data[low:high] for low, high in pairwise(ends) if high > low)
