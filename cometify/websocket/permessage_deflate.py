"""permessage-deflate (RFC 7692): the negotiation in the handshake, and the inflation of messages.

Both sides agree on no context takeover: each message is compressed by itself. One compressed frame then serves every
listener that agreed, and an idle listener keeps no inflater. `core/encodings.py` deflates.
"""

import re
import zlib

NAME = "permessage-deflate"
NO_CONTEXT = ("server_no_context_takeover", "client_no_context_takeover")
WINDOWS = ("server_max_window_bits", "client_max_window_bits")

_SPACE = r"[ \t]*+"
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_VALUE = rf'(?:{_WORD}|"(?:[^"\\]|\\.)++")'
# One element of the header's list, which may be empty (RFC 6455, section 9.1). The quantifiers are possessive, so that no
# header makes the match try the same characters twice.
_offer = re.compile(
    rf"{_SPACE}(?:({_WORD})((?:{_SPACE};{_SPACE}{_WORD}(?:{_SPACE}={_SPACE}{_VALUE})?+)*+))?+{_SPACE}(?:,|\Z)"
)
_parameter = re.compile(rf"{_SPACE};{_SPACE}({_WORD})(?:{_SPACE}={_SPACE}({_VALUE}))?+")
_bits = re.compile(r"[89]|1[0-5]")

# A sender leaves these four bytes off a compressed message (section 7.2.1). The empty final block that we add behind them
# makes the inflater report the end, which proves that the whole message was read.
_TAIL = b"\x00\x00\xff\xff"
_END = b"\x01\x00\x00\xff\xff"


class Broken(Exception):
    """The data of a compressed message cannot be inflated."""


def negotiate(header: str | None) -> bytes | None:
    """Return the answer in Sec-WebSocket-Extensions to the listener's header, or None for no extension.

    `header`: all values of the listener's header, joined with commas. The first offer that can be met is accepted. A
    malformed header counts as none. RFC 6455 wants the handshake to fail then, which would cost the listener its pushes
    for the sake of an extension that it can do without.
    """
    for name, parameters in _offers(header or ""):
        agreed = _agreed(parameters) if name == NAME else None
        if agreed is not None:
            return "; ".join([NAME, *NO_CONTEXT, *agreed]).encode()
    return None


def _offers(header: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (extension, parameters) of each offer. Empty if the header is malformed."""
    offers = []
    at = 0
    while at < len(header):
        match = _offer.match(header, at)
        if match is None:
            return []
        if match[1] is not None:
            offers.append((match[1], _parameter.findall(match[2])))
        at = match.end()
    return offers


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _agreed(parameters: list[tuple[str, str]]) -> list[str] | None:
    """Return the further parameters of the answer (section 7.1). None if the offer is declined."""
    given = {name: _unquoted(value) for name, value in parameters}
    if len(given) < len(parameters):
        return None
    for name, value in given.items():
        if name in NO_CONTEXT:
            fits = not value
        elif name in WINDOWS:
            fits = bool(_bits.fullmatch(value)) or (not value and name == "client_max_window_bits")
        else:
            fits = False
        if not fits:
            return None
    window = given.get("server_max_window_bits")
    if window is None:
        return []
    # One compressed frame serves all listeners, so its window cannot be made smaller for one of them.
    return [f"server_max_window_bits={window}"] if window == "15" else None


def inflate(data: bytes, most: int) -> bytes:
    """Inflate a compressed message, at most its first `most` bytes (1 or more). Nothing beyond them is inflated.

    Raises `Broken` for data that is not a complete compressed message.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        message = inflater.decompress(data + _TAIL + _END, most)
    except zlib.error:
        raise Broken from None
    # A peer may end its data with a final block of its own and an empty block behind it (section 7.2.3.4).
    whole = inflater.eof and inflater.unused_data in {b"", b"\0" + _TAIL + _END}
    if len(message) < most and not whole:
        raise Broken
    return message
