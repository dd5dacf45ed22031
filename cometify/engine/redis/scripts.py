"""The Lua scripts. Each runs in Redis as one atomic step on one account.

A script is made of `names.lua`, the functions of `common.lua` that it needs, and its own file.
"""

import re
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
from txredisapi import ResponseError

from cometify.core.account import Account
from cometify.core.errors import Refused
from cometify.core.push import Receipt
from cometify.engine import refusals

Answer = TypeVar("Answer")
PushAnswer: TypeAlias = int | list[bytes]
"""The answer of `append.lua` to one push."""
ReadAnswer: TypeAlias = list[Any]
"""The answer of `read.lua` or `pushes.lua`: positions and lists, which no list type expresses."""


_FUNCTION = re.compile(r"^(local function (\w+)\(.*?^end)$", re.MULTILINE | re.DOTALL)
_CONSTANT = re.compile(r"local ([A-Z_]+) = ([\dA-Z_ */+-]+|'[^']*')(?: --.*)?$")
_WORD = re.compile(r"\b[A-Z_]{3,}\b")


@attrs.frozen
class Script(Generic[Answer]):
    """`name`: the name of its file, without .lua. `source`: the Lua code.

    `digest`: the SHA-1 of the source, by which Redis finds a script that it has run before. `Answer`: the type of its
    answer.
    """

    name: str
    source: bytes
    digest: bytes


def _script(name: str) -> Script[Any]:
    folder = files(__package__) / "lua"
    names, common, script = ((folder / f"{part}.lua").read_text() for part in ("names", "common", name))
    source = _with_values(f"{names}\n{_used_functions(common, script)}\n{script}").encode()
    return Script(name, source, sha1(source, usedforsecurity=False).hexdigest().encode())


def _used_functions(common: str, script: str) -> str:
    """Return the functions of `common.lua` that a script needs. Lua would make the others too, in each run."""
    used: list[str] = []
    needed = script
    for function in reversed(_FUNCTION.findall(common)):
        if re.search(rf"\b{function[1]}\b", needed):
            used.insert(0, function[0])
            needed += function[0]
    return "\n".join(used)


def _with_values(text: str) -> str:
    """Write the value of each constant in its places. A variable that a function uses costs as much as a short function."""
    values: dict[str, str] = {}

    def value_of(found: re.Match[str]) -> str:
        return values.get(found[0], found[0])

    lines = []
    for line in text.splitlines():
        constant = _CONSTANT.match(line)
        if constant:
            values[constant[1]] = f"({_WORD.sub(value_of, constant[2])})"
        elif not line.lstrip().startswith("--"):
            lines.append(_WORD.sub(value_of, line))
    return "\n".join(lines)


@cache
def in_cluster(script: Script[Answer]) -> Script[Answer]:
    """Return a script as it runs in a cluster. Channels of accounts are in slots there, as keys are, and their names begin with
    the second key, which names the master: see `cluster/channels.py`.
    """
    source = script.source.replace(b"('PUBLISH'), ", b"('SPUBLISH'), KEYS[2] .. ")
    return Script(script.name, source, sha1(source, usedforsecurity=False).hexdigest().encode())


# The head of each file in lua/ describes its answer.
APPEND: Script[list[PushAnswer]] = _script("append")
READ: Script[ReadAnswer] = _script("read")
TAKE_SLOT: Script[bytes] = _script("take_slot")
FREE_SLOTS: Script[None] = _script("free_slots")
DISCONNECT: Script[int | list[bytes]] = _script("disconnect")
PUBLISH_CONFIRMED: Script[None] = _script("publish_confirmed")
USE_NONCE: Script[list[bytes]] = _script("use_nonce")
PUSHES: Script[ReadAnswer] = _script("pushes")
IDENTIFIERS: Script[list[bytes]] = _script("identifiers")
KEPT: Script[list[bytes]] = _script("kept")
ADD_USAGE: Script[int] = _script("add_usage")
USAGE: Script[ReadAnswer] = _script("usage")
WEBHOOK_REPORT: Script[int] = _script("webhook_report")
WEBHOOK_TAKE: Script[list[bytes | int]] = _script("webhook_take")
WEBHOOK_DONE: Script[None] = _script("webhook_done")
CHECK: Script[int] = _script("check")


def read_receipt(answer: PushAnswer, account: Account) -> Receipt:
    """The receipt that `append.lua` answers. Raises `Refused`, and txredisapi's `ResponseError`."""
    if isinstance(answer, int):
        return Receipt(answer)
    kind = answer[0]
    if kind == b"error":
        raise ResponseError(answer[1].decode(errors="replace"))
    if kind == b"again":
        return Receipt(int(answer[1]), True, int(answer[2]))
    if kind == b"mismatch":
        raise refusals.idempotency_mismatch()
    if kind == b"wait":
        raise refusals.too_many_pushes(account, int(answer[1]))
    if kind == b"behind":
        raise refusals.replicas_away()
    if kind == b"reused":
        raise refusals.signature_reused(answer[1].decode())
    raise _not_accepted(answer, account)


def read_count(answer: int | list[bytes], account: Account) -> int:
    """The number of nodes that `disconnect.lua` answers. Raises `Refused`."""
    if isinstance(answer, int):
        return answer
    raise _not_accepted(answer, account)


def check_nonce(answer: list[bytes], account: Account) -> None:
    """Raise the refusal that `use_nonce.lua` answers, if it is one."""
    if answer:
        raise _not_accepted(answer, account)


def _not_accepted(answer: list[bytes], account: Account) -> Refused:
    """The refusal that `room_for` or `use_nonce` of `common.lua` answers."""
    if answer[0] == b"full":
        return refusals.too_many_requests(account, int(answer[1]))
    return refusals.nonce_reused()
