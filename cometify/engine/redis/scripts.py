"""The Lua scripts, each one atomic step in Redis. What they share is put before each."""

from hashlib import sha1
from importlib.resources import files

import attrs


@attrs.frozen
class Script:
    """`digest`: by which Redis knows it once it has seen it."""

    source: bytes
    digest: bytes


def _script(name: str) -> Script:
    here = files(__package__) / "lua"
    source = b"\n".join([(here / part).read_bytes() for part in ("common.lua", f"{name}.lua")])
    return Script(source, sha1(source, usedforsecurity=False).hexdigest().encode())


APPEND = _script("append")
READ = _script("read")
TAKE_SLOT = _script("take_slot")
FREE_SLOT = _script("free_slot")
PUBLISH_CONFIRMED = _script("publish_confirmed")
