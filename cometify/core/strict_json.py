"""JSON as RFC 8259 defines it, and nothing more lenient.

Python's `json` accepts NaN and the infinities, other encodings than UTF-8, and lets the last of two equal names win. Two
parsers that disagree about such a document disagree about what was signed, so all of it is refused here.

A stranger may send half a megabyte of JSON, and an account 8 MiB. Long strings are parsed at once, but 240,000 small arrays
take 50 ms, in which everybody else waits. So the parts of a long document are counted before it is parsed.
"""

import json
import re
import sys
from collections import Counter
from functools import lru_cache

import attrs

from cometify.core.errors import INVALID_BODY, Code, Refused

SHORT = 16 * 1024
"""Bytes of a document that is parsed without being counted. The worst document takes 1.3 ms."""
MOST_PARTS = 50_000
"""Strings, arrays, objects and commas of a longer document. The data of a push, of 64 KiB, has less than 44,000."""
MOST_DIGITS = 1000
"""Digits of an integer in a longer document, because the time to read one grows with their square."""
SOME_FLOAT = 0.5
"""Stands for each number with a fraction or an exponent in a longer document. No parameter is such a number, and `data` is sent
on as it came, so only the type counts. Reading some of them takes 80 us for each KiB: half a megabyte would take 30 ms."""

_OURS = frozenset([
    "identifier", "identifiers", "text", "data", "event", "secret", "push_id", "secure", "except", "type", "groups",
    "listener", "position", "secureKey", "token", "exp", "iat", "sub", "alg", "crit", "scope",
])  # fmt: skip
"""Names that a refusal may repeat. Others can be a part of a secret push, and the operator reads the refusal too."""
_MARKS = b"[{,"
_NEITHER_MARK_NOR_QUOTE = bytes(set(range(256)) - set(_MARKS + b'"'))


def read_json(body: bytes, repeated: Code, most_parts: int = MOST_PARTS) -> object:
    """Parse a JSON document: None, bool, int, float, str, list or dict.

    In a document longer than `SHORT` each float is `SOME_FLOAT`.
    `repeated`: the code of the refusal if a name stands twice in one object (RFC 8259, section 4, leaves that undefined).
    `most_parts`: see `MOST_PARTS`. Raises `Refused`: invalid_body, or `repeated`.
    """
    is_short = len(body) <= SHORT
    if not is_short:
        _check_parts(body, most_parts)

    try:
        value: object = decoder(repeated, is_short).decode(body.decode())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise not_json() from None
    except RecursionError:
        raise too_deep() from None
    except ValueError:  # of an integer: Python reads no more than some 4,000 digits
        raise too_many_digits(sys.get_int_max_str_digits() if is_short else MOST_DIGITS) from None
    return value


@lru_cache(16)
def decoder(repeated: Code, is_short: bool) -> json.JSONDecoder:
    """Return the decoder of a document or of a part of it. See `read_json`. Making one takes as long as a short document.

    It raises ValueError for an integer that is too long, and `Refused` for a name that stands twice and for NaN.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(name for name, times in Counter([name for name, _value in pairs]).items() if times > 1)
            shown = f'"{twice}"' if twice in _OURS else "A name"
            raise Refused(repeated, f"{shown} stands twice in one JSON object: send it once.")
        return found

    return json.JSONDecoder(
        object_pairs_hook=once,
        parse_int=None if is_short else _read_integer,
        parse_float=None if is_short else _some_float,
        parse_constant=_refuse_constant,
    )


def _refuse_constant(name: str) -> None:
    """Refuse NaN, Infinity and -Infinity."""
    raise Refused(INVALID_BODY, f"{name} is not valid JSON, which has no such number: send null or a string.")


def _check_parts(body: bytes, most: int) -> None:
    """Refuse a document of too many parts. Takes at most 3 ms for half a megabyte."""
    if count_marks(body) + body.count(b'"') // 2 <= most:
        return  # even if no mark and no quote is part of a text
    quotes = quotes_and_marks(body)
    strings = (quotes.count(b'"') + 1) // 2
    if strings > most or strings + marks_outside(quotes, 0) > most:
        raise too_many_parts(most)


def count_marks(text: bytes) -> int:
    """Count the marks of a document or of a piece of it, those in strings too."""
    return len(text) - len(text.translate(None, _MARKS))


def quotes_and_marks(piece: bytes) -> bytes:
    """Return the quotes that begin or end a string, and all marks, of a piece that does not begin behind a backslash.

    A backslash outside of a string is miscounted, but the parser ends there.
    """
    if b"\\" in piece:
        piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
    return piece.translate(None, _NEITHER_MARK_NOR_QUOTE)


def marks_outside(quotes: bytes, before: int) -> int:
    """Count the marks that are in no string. `quotes`: see `quotes_and_marks`. `before`: the quotes of the pieces before it.

    An odd number of quotes before a mark says that it is in a string.
    """
    # Without two quotes that stand side by side the number stays odd or even, and far fewer pieces are left to be made.
    return len(b"".join(quotes.replace(b'""', b"").split(b'"')[before % 2 :: 2]))


def too_many_parts(most: int) -> Refused:
    """Make the refusal of a document of more than `most` parts."""
    return Refused(
        INVALID_BODY,
        f"The JSON has more than {most} strings, arrays, objects and commas: send less in one request.",
    )


def _some_float(_digits: str) -> float:
    return SOME_FLOAT


def _read_integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(digits[:MOST_DIGITS])
    return int(digits)


# The text of a value as it was sent.

# It only finds where a value ends. `len` stands for the readers of numbers, because it is the cheapest function.
_DECODER = json.JSONDecoder(parse_int=len, parse_float=len)
_SPACE = re.compile(r"[ \t\n\r]*")
_HAS_SPACE = re.compile(r"[ \t\n\r]")


@attrs.frozen(eq=False)
class SentValue:
    """A member of an object, which can also give the text that was sent.

    `value`: the member as Python has it, where 1.0 and 1.00 are the same, and 1e400 is infinite. In a long document each float
    is `SOME_FLOAT`. `document`: the JSON of the whole object, which `read_json` has accepted. `name`: the name of the member.
    """

    value: object
    document: str
    name: str

    def text(self) -> str:
        """Return the JSON of the value as it was sent, without the spaces between its parts. Raises `Refused`."""
        document = self.document
        try:
            at = after_space(document, 0) + 1
            while True:
                name, at = _DECODER.raw_decode(document, after_space(document, at))
                begin = after_space(document, after_space(document, at) + 1)
                _value, end = _DECODER.raw_decode(document, begin)
                if name == self.name:
                    return _without_spaces(document[begin:end])
                at = after_space(document, end) + 1
        except RecursionError:
            raise too_deep() from None


def texts_of_items(document: str) -> list[str]:
    """Return the text of each item of a JSON array that has items, and that `read_json` has accepted. Raises `Refused`."""
    texts = []
    at = after_space(document, 0)
    try:
        while document[at] != "]":
            begin = after_space(document, at + 1)
            _value, end = _DECODER.raw_decode(document, begin)
            texts.append(document[begin:end])
            at = after_space(document, end)
    except RecursionError:
        raise too_deep() from None
    return texts


def not_json() -> Refused:
    """Make the refusal of a document that no JSON parser may read."""
    return Refused(INVALID_BODY, "The body is not valid JSON in UTF-8.")


def too_many_digits(most: int = MOST_DIGITS) -> Refused:
    """Make the refusal of a document with an integer of more than `most` digits."""
    return Refused(INVALID_BODY, f"An integer in the JSON has more than {most} digits: send it as a string.")


def too_deep() -> Refused:
    """Make the refusal of a document that is nested too deeply to be read."""
    return Refused(INVALID_BODY, "The body is nested too deeply: send flatter JSON.")


def after_space(document: str, at: int) -> int:
    """Return the index behind the spaces that begin at `at`."""
    found = _SPACE.match(document, at)
    assert found is not None  # it matches nothing as well
    return found.end()


def _without_spaces(text: str) -> str:
    """Remove the spaces of a valid JSON text that are not in its strings.

    Once the escaped quotes are hidden, every second quote ends a string. A string of 32,000 escaped quotes must not take
    longer than any other.
    """
    hidden = text.replace("\\\\", "__").replace('\\"', "__")  # as long as before
    pieces = hidden.split('"')
    if not _HAS_SPACE.search("".join(pieces[::2])):
        return text
    parts, at = [], 0
    for number, piece in enumerate(pieces):
        sent = text[at : at + len(piece)]
        parts.append(sent if number % 2 else "".join(sent.split()))
        at += len(piece) + 1
    return '"'.join(parts)
