"""Request bodies become plain mappings: forms, multipart forms and JSON. One reader for each content type.

Nothing here knows what a request is for: the caller names the parameters that it wants.
"""

from binascii import a2b_qp
from collections import deque
from collections.abc import Iterable, Mapping
from io import BytesIO
from itertools import islice
from urllib.parse import unquote_to_bytes

from multipart import MultipartError, MultipartParser, parse_options_header

from cometify.core.errors import (
    INVALID_BODY,
    INVALID_TEXT,
    REPEATED_PARAMETER,
    TEXT_TOO_LONG,
    UNSUPPORTED_MEDIA_TYPE,
    Code,
    Refused,
)
from cometify.core.json_items import items_in_steps, not_an_array
from cometify.core.push import MAX_TEXT
from cometify.core.steps import Steps
from cometify.core.strict_json import SentValue, read_json, texts_of_items

FORM, MULTIPART, JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"

MOST_FIELDS = 64
"""Fields of a form, of either kind. A body of half a million fields would take a quarter of a second to be read."""
MOST_ENCODED = 3 * MAX_TEXT
"""Bytes of an urlencoded value: those of the longest text, if each of them is encoded."""
MOST_PARTS_OF_ARRAY = 200_000
"""Strings, arrays, objects and commas of a JSON array, which only a proven publisher may send: 2,000 for each push."""
MOST_BROKEN = 1024
"""Percent signs of a value that may also stand for themselves. Above it, each must begin an encoded byte."""

Wanted = Mapping[bytes, tuple[str, Code]]
"""The names to read from a form, as bytes and as text, each with the code of the refusal of a value that is not UTF-8."""


def read_parameters(
    content_type: str | None, body: bytes, wanted: Wanted, as_sent: str | None = None
) -> dict[str, object]:
    """Return the parameters in a body, by its content type. A body without one is a form.

    A form gives the parameters named in `wanted`, as strings. It also gives other short names, so that the caller can find
    a misspelled one. The values of these mean nothing. JSON gives everything that it has, and the parameter `as_sent` as a
    `SentValue`. Raises `Refused`: repeated_parameter, invalid_body, unsupported_media_type, or the code of a parameter.
    """
    # Nearly all requests have one of these two content types as it stands here, so that parsing it would be a waste.
    if content_type == FORM or not content_type:
        return _unencoded_form(body) or _read_form(body, wanted)
    if content_type == JSON:
        return _json_object(body, as_sent)
    kind, options = parse_options_header(content_type)
    if kind == FORM:
        return _read_form(body, wanted)
    if kind == MULTIPART:
        return _wanted(_multipart_pairs(body, options.get("boundary", "")), wanted)
    if kind == JSON:
        return _json_object(body, as_sent)
    raise Refused(UNSUPPORTED_MEDIA_TYPE, f"Send the parameters as {FORM}, {MULTIPART} or {JSON}.")


def read_json_array(content_type: str | None, body: bytes, as_sent: str | None = None) -> list[object]:
    """Return the items of a JSON array. A body without a content type is JSON.

    `as_sent`: the member that an item, if it is an object, gives as a `SentValue`. Raises `Refused`: unsupported_media_type,
    invalid_body, repeated_parameter.
    """
    _must_be_json(content_type)
    value = read_json(body, REPEATED_PARAMETER, MOST_PARTS_OF_ARRAY)
    if not isinstance(value, list):
        raise not_an_array()
    if as_sent is not None and any(isinstance(item, dict) and as_sent in item for item in value):
        for item, text in zip(value, texts_of_items(body.decode()), strict=True):
            if isinstance(item, dict) and as_sent in item:
                item[as_sent] = SentValue(item[as_sent], text, as_sent)
    return value


def json_array_in_steps(content_type: str | None, pieces: deque[bytes], as_sent: str) -> Steps[list[object]]:
    """Read a long JSON array in steps. It gives what `read_json_array` gives, except what `json_items` tells."""
    _must_be_json(content_type)
    return (yield from items_in_steps(pieces, REPEATED_PARAMETER, MOST_PARTS_OF_ARRAY, as_sent))


def read_json_object(content_type: str | None, body: bytes) -> dict[str, object]:
    """Return the members of a JSON object. A body without a content type is JSON.

    Raises `Refused`: unsupported_media_type, invalid_body, repeated_parameter.
    """
    _must_be_json(content_type)
    value = read_json(body, REPEATED_PARAMETER)
    if not isinstance(value, dict):
        raise Refused(INVALID_BODY, "The body must be a JSON object.")
    return value


def _must_be_json(content_type: str | None) -> None:
    kind = (content_type or JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"Send the body as {JSON}.")


def _wanted(pairs: Iterable[tuple[bytes, bytes]], wanted: Wanted) -> dict[str, object]:
    """Decode the values of the wanted names as UTF-8. Other names have no value, however often they are given."""
    found: dict[str, object] = {}
    for raw_name, value in pairs:
        parameter = wanted.get(raw_name)
        if parameter is None:
            found[raw_name.decode("latin-1")] = None
            continue
        name, code = parameter
        if name in found:
            raise Refused(REPEATED_PARAMETER, f"{name} is given more than once: send it once.")
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            raise Refused(code, f"{name} is not valid UTF-8: encode it as UTF-8 before it is urlencoded.") from None
    return found


def _too_many_fields() -> Refused:
    return Refused(INVALID_BODY, f"The form has more than {MOST_FIELDS} fields: send only those of a push.")


def _json_object(body: bytes, as_sent: str | None) -> dict[str, object]:
    value = read_json(body, REPEATED_PARAMETER)
    if not isinstance(value, dict):
        raise Refused(INVALID_BODY, 'The body must be a JSON object, e.g. {"text":"Hello","secret":0}.')
    if as_sent is not None and as_sent in value:
        value[as_sent] = SentValue(value[as_sent], body.decode(), as_sent)
    return value


def _unencoded_form(body: bytes) -> dict[str, object] | None:
    """Return the parameters of a form in which nothing is encoded and nothing is repeated, or None for any other.

    A shortcut that gives what `_read_form` gives, and the values of other names too. It saves 1.2 us of the 11 that such a
    push takes before and behind its socket. A property test holds the two equal.
    """
    try:
        form = body.decode("ascii")
        if "%" in form or "+" in form:
            return None
        items = form.split("&", MOST_FIELDS)
        found: dict[str, object] = dict([item.split("=", 1) for item in items])  # type: ignore[assignment]
    except ValueError:  # not ASCII, or an item without "="
        return None
    return found if len(found) == len(items) <= MOST_FIELDS else None


def _read_form(body: bytes, wanted: Wanted) -> dict[str, object]:
    """Read application/x-www-form-urlencoded.

    urllib's parse_qsl would replace bytes that are not UTF-8, and the caller must see them. Whoever sends the body is not
    known yet, so all work is bounded: fields are counted before they are looked at, and only wanted ones are decoded.
    """
    items = body.split(b"&", MOST_FIELDS)
    if len(items) > MOST_FIELDS:
        raise _too_many_fields()
    longest_name = 3 * max(map(len, wanted))
    pairs = []
    for item in items:
        name, _, value = item.partition(b"=")
        if len(name) > longest_name:
            continue
        # `find` and not `in`, which takes bytes for an integer first: six times as long.
        if name.find(b"%") >= 0:
            name = unquote_to_bytes(name)
        parameter = wanted.get(name)
        pairs.append((name, b"" if parameter is None else _decoded(value, *parameter)))
    return _wanted(pairs, wanted)


def _decoded(value: bytes, name: str, code: Code) -> bytes:
    """Decode an urlencoded value. `name`, `code`: of the parameter. Raises `Refused`."""
    if len(value) > MOST_ENCODED:
        raise Refused(
            TEXT_TOO_LONG if code is INVALID_TEXT else code,
            f"{name} has {len(value)} bytes as it is encoded, the most is {MOST_ENCODED}: send less in one push.",
        )
    if value.find(b"+") >= 0:
        value = value.replace(b"+", b" ")
    if value.find(b"%") < 0:
        return value
    if value.count(b"%") <= MOST_BROKEN:
        return unquote_to_bytes(value)
    decoded = _decoded_strictly(value)
    if decoded is None:
        raise Refused(code, f"{name} has percent signs that encode nothing: urlencode each percent sign as %25.")
    return decoded


def _decoded_strictly(value: bytes) -> bytes | None:
    """Decode a value in which each percent sign begins an encoded byte, or return None for any other.

    `unquote_to_bytes` takes 10 ms for the longest text. The decoder of quoted-printable, in C, takes 1 ms. It differs in
    having "=" for "%" and in joining lines, so equals signs and line ends are encoded first. It shortens the value by two
    bytes for each encoded one, and by less for anything else.
    """
    quoted = value.replace(b"=", b"%3D").replace(b"\n", b"%0A").replace(b"\r", b"%0D").replace(b"%", b"=")
    decoded = a2b_qp(quoted)
    return decoded if len(quoted) - len(decoded) == 2 * quoted.count(b"=") else None


def _multipart_pairs(body: bytes, boundary: str) -> Iterable[tuple[bytes, bytes]]:
    try:
        parts = MultipartParser(
            BytesIO(body), boundary, len(body), memory_limit=len(body) + 1, spool_limit=len(body) + 1
        )
        pairs = [(part.name.encode(), part.raw) for part in islice(parts, MOST_FIELDS + 1)]
    except (MultipartError, UnicodeError, ValueError):
        raise Refused(
            INVALID_BODY,
            f"The body is not complete {MULTIPART}: end it with the boundary that its Content-Type names.",
        ) from None
    if len(pairs) > MOST_FIELDS:
        raise _too_many_fields()
    return pairs
