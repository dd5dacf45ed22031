"""The channels of a node at one master of a cluster.

Channels of an account have its hash tag, so that what is published on them does not leave its master and its replicas. All
others are rare: questions to all nodes, and their answers. Redis tells them to the whole cluster, so their names
begin with the id of the master, and only those who are connected to it hear them.

    cometify:{API_KEY}:-ID:{API_KEY}:IDENTIFIER     the pushes of an identifier, at the master whose id begins so
    cometify:{API_KEY}:-ID:{API_KEY}/NODE           the watermarks of an account, for one node
    cometify:ID:nodes                               all nodes, at the master with this id
    cometify:ID:node:NODE                           one node, there

Redis sends what is published on a channel with a tag from a master to its replicas, and from a replica to its master. A master
that was frozen is a replica when it thaws, and first runs the scripts that were sent to it before. So the id stands there too,
and nobody hears them. A script has it from its second key, which is that of the connection over which it was sent, and its
arguments and the list of unconfirmed pushes have the names without it: they begin with the second colon before the tag.
"""

from collections.abc import Iterable

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.channels import Channels
from cometify.engine.redis.cluster.slot_map import Master

_OF_ACCOUNTS = ":"
"""The beginning of the names of an account's channels in arguments of scripts, which put their second key before it."""


class ClusterChannels(Channels):
    """`node`: the name of this node. `master`: that of these channels."""

    def __init__(self, node: str, master: Master) -> None:
        super().__init__(node, f"cometify:{master.node_id}:", _OF_ACCOUNTS)
        self.suffix = f"}}/{node}".encode()
        self._mark = master.mark
        self._counts: dict[str, int] = {}  # the channels of identifiers of each account

    def name(self, state: AccountState, identifier: str) -> bytes:
        return state.name + self._mark + super().name(state, identifier)

    def of_watermarks(self, state: AccountState) -> bytes:
        """See `Channels`. This is the name for scripts."""
        return f"{_OF_ACCOUNTS}{{{state.account.api_key}".encode() + self.suffix

    def watermarks(self, state: AccountState) -> bytes:
        """The whole name of the channel on which this node gets the watermarks of an account."""
        return state.name + self._mark + self.of_watermarks(state)

    def add(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        api_key, before = state.account.api_key, len(self._followed)
        names = super().add(state, identifiers)
        count = self._counts.get(api_key, 0)
        if not names:
            return names
        self._counts[api_key] = count + len(self._followed) - before
        return names if count else [self.watermarks(state), *names]

    def remove(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        api_key, names = state.account.api_key, super().remove(state, identifiers)
        left = self._counts.pop(api_key, 0) - len(names)
        if left > 0:
            self._counts[api_key] = left
        elif names:
            names.append(self.watermarks(state))
        return names

    @property
    def plain(self) -> list[bytes]:
        """The names of those that are of no account."""
        return [self.own, self.everybody, self.joined, *([self.staying] if self.is_staying else ())]
