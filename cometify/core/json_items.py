"""A long JSON array, read item by item, so that no step takes long.

The items are those that `strict_json.read_json` gives, and so are the refusals, in the same order: too many parts anywhere in
the document, then bytes that are not UTF-8 anywhere, then the first fault from its beginning. Two things differ, because a step
must be bounded. An item that is far longer than the longest push is refused unread. A document that does not begin like
an array is refused, whatever follows.

The document is cut into pieces of bytes. A *window* of text holds the pieces that are being read. If the window ends before an
item does, the window grows, and the item is read again from its beginning. The parser cannot go on in the middle of a text. So
within a text nothing is read before a piece with a quote has come. Without that, a text of six pieces would be read six times.
"""

import json
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Iterable

from cometify.core.errors import INVALID_BODY, TEXT_TOO_LONG, Code, Refused
from cometify.core.steps import Steps
from cometify.core.strict_json import (
    MOST_PARTS,
    SentValue,
    after_space,
    count_marks,
    decoder,
    marks_outside,
    not_json,
    quotes_and_marks,
    too_deep,
    too_many_digits,
    too_many_parts,
)

PIECE = 64 * 1024
"""Bytes by which a window grows. Counting their parts or decoding them takes 0.1 ms, and parsing them at most 3 ms."""
DENSE = MOST_PARTS // 4
"""Parts of a window above which it grows by a quarter of a piece, because that can take as long to be parsed."""
MOST_ITEM = 512 * 1024
"""Characters of an item: as many as the body of a single push may have. Below it, a push is refused for what it has."""
_NO_END = "Unterminated string"
_IN_A_TEXT = (_NO_END, "Invalid \\")
"""The beginnings of the messages of a `JSONDecodeError` for a text without an end, or with half an escape at the end."""
AT_ONCE = 4 * 1024
"""Characters of short items that are read in one step."""
COST = 8
"""The characters of an item that count beside its own, because to read a number takes about as long as to read so many more."""


def cut(body: bytes) -> deque[bytes]:
    """Cut a document into pieces, none of which begins behind a backslash that belongs to its first character."""
    pieces: deque[bytes] = deque()
    at = 0
    while at < len(body):
        piece = body[at : at + PIECE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2 and len(piece) == PIECE:
            piece = piece[:-1]
        at += len(piece)
        pieces.append(piece)
    return pieces


def items_in_steps(
    pieces: deque[bytes], repeated: Code, most_parts: int, as_sent: str | None = None
) -> Steps[list[object]]:
    """Read a JSON array of more than `strict_json.SHORT` bytes. See `strict_json.read_json`.

    `pieces`: those that `cut` has made of it. They are removed while it is read, because its items take as much memory.
    `as_sent`: the member that an item, if it is an object, gives as a `SentValue`. Raises `Refused`: invalid_body, `repeated`,
    text_too_long.
    """
    yield from _check_parts(pieces, most_parts)
    yield from _check_encoding(pieces)
    window = _Window(pieces, repeated)
    first = yield from _next(window)
    if first != "[":
        raise _not_an_array(first)
    window.at += 1
    items: list[object] = []
    if (yield from _next(window)) == "]":
        window.at += 1
    else:
        yield from _read_items(window, items, as_sent)
    if (yield from _next(window)):
        raise not_json()
    return items


def _check_parts(pieces: Iterable[bytes], most: int) -> Steps[None]:
    """Refuse a document of too many parts."""
    marks = quotes = 0
    for piece in pieces:
        marks += count_marks(piece)
        quotes += piece.count(b'"')
        yield
    if marks + quotes // 2 <= most:
        return
    marks = quotes = 0
    for piece in pieces:
        found = quotes_and_marks(piece)
        marks += marks_outside(found, quotes)
        quotes += found.count(b'"')
        if (quotes + 1) // 2 + marks > most:
            raise too_many_parts(most)
        yield


def _check_encoding(pieces: Iterable[bytes]) -> Steps[None]:
    """Refuse a document that is not UTF-8."""
    decode = getincrementaldecoder("utf-8")().decode
    try:
        for piece in pieces:
            decode(piece)
            yield
        decode(b"", True)
    except UnicodeDecodeError:
        raise not_json() from None


def _not_an_array(first: str) -> Refused:
    """Make the refusal of a document with another value than an array, or with none. `first`: its first character."""
    if not first or first not in '{"-0123456789tfn':
        return not_json()
    return not_an_array()


def not_an_array() -> Refused:
    """Make the refusal of a document that is another value than an array."""
    return Refused(INVALID_BODY, "The body must be a JSON array of objects.")


class _Window:
    """The text that is being read. `at`: the index in `text` of the next character."""

    def __init__(self, pieces: deque[bytes], repeated: Code) -> None:
        self._pieces = pieces
        self._decode = getincrementaldecoder("utf-8")().decode
        self._scan = decoder(repeated, is_short=False).raw_decode
        self._no_quote_until = 0  # characters behind `at` among which no text ends that begins there
        self.text = ""
        self.at = 0

    @property
    def is_last(self) -> bool:
        """True if the rest of the document is in the window."""
        return not self._pieces

    def grow(self, size: int = PIECE) -> None:
        """Take in at most so many bytes more of the document, and forget what was read."""
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        self.text = self.text[self.at :] + self._decode(piece, self.is_last)
        self.at = 0

    def skip_space(self) -> str:
        """Skip spaces, and return the next character. Empty: the window has no other."""
        self.at = at = after_space(self.text, self.at)
        return self.text[at : at + 1]

    def read_item(self) -> tuple[object, str] | None:
        """Read the item that begins here. Returns it and its text, or None if it may go on behind the window.

        Raises `Refused`.
        """
        begin = self.at
        if self._no_quote_until and not self.is_last and self.text.find('"', begin + self._no_quote_until) < 0:
            self._no_quote_until = len(self.text) - begin
            return None
        self._no_quote_until = 0
        try:
            item, end = self._scan(self.text, begin)
        except json.JSONDecodeError as error:
            if self.is_last or not _is_at_the_end(error, len(self.text)):
                raise not_json() from None
            if error.msg.startswith(_IN_A_TEXT):
                self._no_quote_until = len(self.text) - begin
            return None
        except RecursionError:
            raise too_deep() from None
        except ValueError:
            raise too_many_digits() from None
        if end == len(self.text) and not self.is_last:
            return None  # a number may have more digits
        self.at = end
        return item, self.text[begin:end]

    def grow_for_item(self, number: int) -> None:
        """Take in more of the item that is not whole. Raises `Refused` if the item is too long to be a push."""
        if len(self.text) - self.at > MOST_ITEM:
            raise _too_long(TEXT_TOO_LONG, number, f"more than {MOST_ITEM} characters of JSON")
        parts = 0 if self._no_quote_until else self._count_parts()
        if parts > MOST_PARTS:
            raise _too_long(INVALID_BODY, number, f"more than {MOST_PARTS} strings, arrays, objects and commas")
        self.grow(PIECE if parts <= DENSE else PIECE // 4)

    def _count_parts(self) -> int:
        """Count the parts of the window, which begins with an item."""
        found = quotes_and_marks(self.text[self.at :].encode())
        return found.count(b'"') // 2 + marks_outside(found, 0)


def _is_at_the_end(error: json.JSONDecodeError, length: int) -> bool:
    """Return whether a fault may only be that the text ends. A longest word or escape is 12 characters long."""
    return error.pos > length - 12 or error.msg.startswith(_NO_END)


def _too_long(code: Code, number: int, found: str) -> Refused:
    """Make the refusal of an item that is longer than any push can be."""
    return Refused(
        code,
        f"Push {number} of the batch, nothing was pushed: it has {found}, and no push needs as many: push a reference to it "
        "instead.",
    )


def _next(window: _Window) -> Steps[str]:
    """Skip spaces, and return the next character. Empty: the document ends."""
    while not (found := window.skip_space()) and not window.is_last:
        window.grow()
        yield
    return found


def _read_items(window: _Window, items: list[object], as_sent: str | None) -> Steps[None]:
    """Read the items of an array that has any, up to the end of the array."""
    mark, read = ",", 0
    while mark == ",":
        # Only to wait for a window would take a generator for each of 200,000 items.
        if not window.skip_space():
            yield from _next(window)
        while (found := window.read_item()) is None:
            window.grow_for_item(len(items) + 1)
            yield
        item, text = found
        if as_sent is not None and isinstance(item, dict) and as_sent in item:
            item[as_sent] = SentValue(item[as_sent], text, as_sent)
        items.append(item)
        read += len(text) + COST
        if read > AT_ONCE:
            read = 0
            yield
        mark = window.skip_space() or (yield from _next(window))
        window.at += 1
    if mark != "]":
        raise not_json()
