"""The Lua scripts. Each runs in Redis as one atomic step on one account. `common.lua` is put before each of them."""

from hashlib import sha1
from importlib.resources import files
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

Answer = TypeVar("Answer")
ReadAnswer: TypeAlias = list[Any]
"""The answer of `read.lua`: two positions, then a list for each identifier. A list type cannot express this."""


@attrs.frozen
class Script(Generic[Answer]):
    """`source`: the Lua code. `digest`: its SHA-1, by which Redis finds a script that it has run before.

    `Answer`: the type of its answer.
    """

    source: bytes
    digest: bytes


def _script(name: str) -> Script[Any]:
    folder = files(__package__) / "lua"
    source = b"\n".join([(folder / part).read_bytes() for part in ("common.lua", f"{name}.lua")])
    return Script(source, sha1(source, usedforsecurity=False).hexdigest().encode())


# The head of each file in lua/ describes its answer.
APPEND: Script[list[bytes]] = _script("append")
READ: Script[ReadAnswer] = _script("read")
TAKE_SLOT: Script[bytes] = _script("take_slot")
FREE_SLOT: Script[None] = _script("free_slot")
PUBLISH_CONFIRMED: Script[None] = _script("publish_confirmed")
