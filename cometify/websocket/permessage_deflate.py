"""permessage-deflate (RFC 7692): what is agreed on in the handshake, and what a compressed message says.

Neither side takes its context over from one message to the next: so one compressed frame serves all listeners who have
agreed, and an idle one keeps no inflater. `core/frames.py` deflates.
"""

import re
import zlib

NAME = "permessage-deflate"
NO_CONTEXT = ("server_no_context_takeover", "client_no_context_takeover")
WINDOWS = ("server_max_window_bits", "client_max_window_bits")

_SPACE = r"[ \t]*+"
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_VALUE = rf'(?:{_WORD}|"(?:[^"\\]|\\.)++")'
# An element of the header's list, which may be empty (RFC 6455, section 9.1). Possessive: nothing is tried twice.
_offer = re.compile(
    rf"{_SPACE}(?:({_WORD})((?:{_SPACE};{_SPACE}{_WORD}(?:{_SPACE}={_SPACE}{_VALUE})?+)*+))?+{_SPACE}(?:,|\Z)"
)
_parameter = re.compile(rf"{_SPACE};{_SPACE}({_WORD})(?:{_SPACE}={_SPACE}({_VALUE}))?+")
_bits = re.compile(r"[89]|1[0-5]")

# What the sender of a compressed message leaves out, and a last, empty block: who reads to its end has read all.
_TAIL = b"\x00\x00\xff\xff"
_END = b"\x01\x00\x00\xff\xff"


class Broken(Exception):
    """What came is not what a compressed message carries."""


def negotiate(header: str | None) -> bytes | None:
    """What to answer in Sec-WebSocket-Extensions to the listener's (its values joined with commas); None: nothing.

    The first offer that can be met is. A header that is malformed is as none: to fail the handshake, as RFC 6455 has it,
    would cost somebody the pushes for something that is not needed.
    """
    for name, parameters in _offers(header or ""):
        agreed = _agreed(parameters) if name == NAME else None
        if agreed is not None:
            return "; ".join([NAME, *NO_CONTEXT, *agreed]).encode()
    return None


def _offers(header: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """(extension, parameters) of each; none at all if the header is malformed."""
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
    """What the answer must say besides; None if the offer is declined (section 7.1)."""
    said = {name: _unquoted(value) for name, value in parameters}
    if len(said) < len(parameters):
        return None
    for name, value in said.items():
        if name in NO_CONTEXT:
            fits = not value
        elif name in WINDOWS:
            fits = bool(_bits.fullmatch(value)) or (not value and name == "client_max_window_bits")
        else:
            fits = False
        if not fits:
            return None
    window = said.get("server_max_window_bits")
    if window is None:
        return []
    # All share one compressed frame, and its window is not made smaller for one of them.
    return [f"server_max_window_bits={window}"] if window == "15" else None


def inflate(data: bytes, most: int) -> bytes:
    """What a compressed message says, or the first `most` bytes of it, at least 1: nothing beyond them is inflated.

    Raises `Broken`.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        said = inflater.decompress(data + _TAIL + _END, most)
    except zlib.error:
        raise Broken from None
    # A peer may end its data with a final block of its own; an empty one follows then (section 7.2.3.4).
    whole = inflater.eof and inflater.unused_data in {b"", b"\0" + _TAIL + _END}
    if len(said) < most and not whole:
        raise Broken
    return said
