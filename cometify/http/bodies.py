"""Bodies to parameters: forms, multipart forms and JSON."""

from io import BytesIO
from urllib.parse import unquote_to_bytes

from multipart import MultipartError, MultipartParser, parse_options_header

from cometify.core import errors
from cometify.core.admission import fields_from_json, fields_from_pairs

_FORMS = ("application/x-www-form-urlencoded", None, "")
"""What nearly all send, so that it need not be parsed."""


def read_fields(content_type: str | None, body: bytes) -> dict[str, object]:
    """The parameters of a push, by the body's type; a body without a type is a form. Raises `Refused`."""
    if content_type in _FORMS:
        return _plain_fields(body) or fields_from_pairs(_pairs(body))
    kind, options = parse_options_header(content_type or "")
    if kind == "application/x-www-form-urlencoded":
        return fields_from_pairs(_pairs(body))
    if kind == "multipart/form-data":
        return fields_from_pairs(_parts(body, options.get("boundary", "")))
    if kind == "application/json":
        return fields_from_json(body)
    raise errors.Refused(
        errors.UNSUPPORTED_MEDIA_TYPE,
        "Send the parameters as application/x-www-form-urlencoded, multipart/form-data or application/json.",
    )


def _plain_fields(body: bytes) -> dict[str, object] | None:
    """The parameters of a form in which nothing is encoded and nothing stands twice, or None: 1 us instead of 3."""
    try:
        form = body.decode("ascii")
        if "%" in form or "+" in form:
            return None
        items = form.split("&")
        fields: dict[str, object] = dict([item.split("=", 1) for item in items])  # type: ignore[assignment]
    except ValueError:  # not ASCII, or an item without a =
        return None
    return fields if len(fields) == len(items) else None


def _pairs(body: bytes) -> list[tuple[bytes, bytes]]:
    """Urllib's parse_qsl would replace what is not UTF-8; here it must be seen."""
    return [
        (_unquoted(name), _unquoted(value))
        for name, _, value in [item.partition(b"=") for item in body.split(b"&") if item]
    ]


def _unquoted(data: bytes) -> bytes:
    if data.find(b"%") < 0:  # as in all values but the text
        return data.replace(b"+", b" ")
    return unquote_to_bytes(data.replace(b"+", b" "))


def _parts(body: bytes, boundary: str) -> list[tuple[bytes, bytes]]:
    try:
        parts = MultipartParser(
            BytesIO(body), boundary, len(body), memory_limit=len(body) + 1, spool_limit=len(body) + 1
        )
        return [(part.name.encode(), part.raw) for part in parts]
    except (MultipartError, UnicodeError, ValueError):
        raise errors.Refused(
            errors.INVALID_BODY, "The body is not whole multipart/form-data with the boundary that Content-Type names."
        ) from None
