"""The slots of a cluster, and the master of each.

A cluster has 16,384 slots, and each key is in one of them: that of its hash tag, the part between the first `{` and the next
`}`. All keys and channels of an account have the tag `{API_KEY}`, so they are at one master.
"""

from binascii import crc_hqx
from collections.abc import Collection
from functools import cache
from itertools import count
from typing import Any, TypeAlias

import attrs
from txredisapi import RedisError

SLOTS = 16384
HOME = b"cometify:{.}"
"""The beginning of all keys that are not of one account. No API key has a dot."""
MARKED = 8
"""Letters of a master's id in the names of channels. They tell a master from its replicas, which are few."""


@attrs.frozen(eq=False)
class Master:
    """A master of the cluster, made by `master_at`. `node_id`: the name that it has in the cluster."""

    node_id: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def mark(self) -> bytes:
        """The end of the second key of each script that is sent to this master: see `channels.py`."""
        return f":-{self.node_id[:MARKED]}".encode()


@cache
def master_at(node_id: str, host: str, port: int) -> Master:
    """Return the one object for a master, so that maps of 16,384 slots are compared soon."""
    return Master(node_id, host, port)


SlotMap: TypeAlias = tuple[Master, ...]
"""The master of each slot."""


def slot_of(name: bytes) -> int:
    """The slot of a key or channel."""
    _before, opened, rest = name.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return crc_hqx(tag if opened and closed and tag else name, 0) % SLOTS


def name_in(slots: Collection[int]) -> bytes:
    """A name as `HOME` whose slot is one of these, for keys that each master has. Raises `RedisError` if there are no slots."""
    if not slots:
        raise RedisError("it is a master without slots")
    return next(name for number in count() if slot_of(name := b"cometify:{.%d}" % number) in slots)


def read_slots(reply: Any, asked: str) -> tuple[SlotMap, frozenset[int]]:
    """Read the reply to CLUSTER SLOTS. `asked`: the host that was asked. Returns the map, and the slots that have no master.

    In the map they are at the first master, which refuses them, so that their accounts are refused and no others.
    """
    masters: list[Master | None] = [None] * SLOTS
    for first, last, (host, port, node_id, *_more), *_replicas in reply:
        # A node that does not know its own address tells none: it is where it was reached.
        master = master_at(node_id.decode(), host.decode() if host and host != b"?" else asked, port)
        masters[first : last + 1] = [master] * (last + 1 - first)
    first_master = next((master for master in masters if master is not None), None)
    if first_master is None:
        raise RedisError(without_master(SLOTS))
    unserved = frozenset(slot for slot, master in enumerate(masters) if master is None)
    return tuple([master or first_master for master in masters]), unserved


def without_master(count: int) -> str:
    """A sentence for the log."""
    return f"{count} slots of the cluster have no master: repair it with redis-cli --cluster fix"
