"""The formula of docs/redis.md for the memory of Redis, applied to what a flood brought there."""

import re

from bench.rig.folders import DOCS

_ROW = re.compile(r"^\| `(\w+)`: .* \| (\d+) \|$", re.MULTILINE)
_BASE, _SPARE = 20_000_000, 1.5
_FRAME = 75
"""Bytes of a frame beside its text."""
_ALONE = 280
"""Bytes of a listener whose address has no other."""


def most_memory(pushes: int, text: int, identifiers: int, listeners: int, keep_bytes: int) -> float:
    """Return the bytes that Redis may take. `text`: the length of each push. `keep_bytes`: the quota of the account."""
    item = {name: int(number) for name, number in _ROW.findall((DOCS / "redis.md").read_text())}
    frames = min(pushes * (text + _FRAME), keep_bytes)
    beside = pushes * (item["push"] + item["signature"])
    return _BASE + _SPARE * (frames + beside + identifiers * item["identifier"] + listeners * _ALONE)
