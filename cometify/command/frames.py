"""Frames as the server sends them, read and checked, so that nothing later meets a field of another type.

Other texts come from something else at the URL, such as a proxy, or from a server that means ill.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from cometify.core.integer import MAX_EXACT

Frame = Mapping[str, Any]

_LONGEST = 86_400
"""Seconds that a server may ask to wait. Its own longest time is an hour."""


def read_frame(text: str | bytes) -> Frame | None:
    """Read a frame. Returns None for any other text."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        return None
    has_its_fields = _FIELDS.get(frame["type"])
    return frame if has_its_fields is None or has_its_fields(frame) else None


def _is_position(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_EXACT


def _is_time(seconds: object) -> bool:
    return type(seconds) in (int, float) and 0 <= seconds <= _LONGEST  # type: ignore[operator] # it is a number


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_ready(frame: Frame) -> bool:
    positions = frame.get("positions")
    has_one = isinstance(positions, list) and len(positions) == 1 and _is_position(positions[0])
    return has_one and _is_time(frame.get("heartbeat")) and _are_texts(frame.get("warnings", []))


def _is_push(frame: Frame) -> bool:
    texts = frame.get("identifier"), frame.get("event", ""), frame.get("text", "")
    return _is_position(frame.get("position")) and _are_texts([*texts]) and ("text" in frame or "data" in frame)


def _is_error(frame: Frame) -> bool:
    retry = frame.get("retry")
    return _are_texts([frame.get("code"), frame.get("detail")]) and (retry is None or _is_time(retry))


def _is_reconnect(frame: Frame) -> bool:
    after = frame.get("after")
    return isinstance(after, int | float) and _is_time(after / 1000 if abs(after) <= MAX_EXACT else None)


_FIELDS: Mapping[str, Callable[[Frame], bool]] = {
    "ready": _is_ready,
    "push": _is_push,
    "heartbeat": lambda frame: _is_position(frame.get("position")),
    "gap": lambda frame: _are_texts(frame.get("identifiers")),
    "error": _is_error,
    "reconnect": _is_reconnect,
}
