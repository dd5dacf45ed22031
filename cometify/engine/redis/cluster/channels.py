"""The channels of a node at one master of a cluster.

Channels of an account have its hash tag, so that what is published on them does not leave its master and its replicas. All
others are rare: questions to all nodes, and their answers. Redis tells them to the whole cluster, so their names
begin with the id of the master, and only those who are connected to it hear them.

    cometify:0:{API_KEY}:IDENTIFIER     the pushes of an identifier
    cometify:0:{API_KEY}/NODE           the watermarks of an account, for one node
    cometify:ID:nodes                   all nodes, at the master with this id
    cometify:ID:node:NODE               one node, there
"""

from collections.abc import Iterable

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.channels import Channels
from cometify.engine.redis.cluster.slot_map import Master

_OF_ACCOUNTS = "cometify:0:"


class ClusterChannels(Channels):
    """`node`: the name of this node. `master`: that of these channels."""

    def __init__(self, node: str, master: Master) -> None:
        super().__init__(node, f"cometify:{master.node_id}:", _OF_ACCOUNTS)
        self.suffix = f"}}/{node}".encode()
        self._counts: dict[str, int] = {}  # the channels of identifiers of each account

    def of_watermarks(self, state: AccountState) -> bytes:
        return self._watermarks(state.account.api_key)

    def _watermarks(self, api_key: str) -> bytes:
        return f"{_OF_ACCOUNTS}{{{api_key}".encode() + self.suffix

    def add(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        api_key, before = state.account.api_key, len(self._followed)
        names = super().add(state, identifiers)
        count = self._counts.get(api_key, 0)
        if not names:
            return names
        self._counts[api_key] = count + len(self._followed) - before
        return names if count else [self._watermarks(api_key), *names]

    def remove(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        api_key, names = state.account.api_key, super().remove(state, identifiers)
        left = self._counts.pop(api_key, 0) - len(names)
        if left > 0:
            self._counts[api_key] = left
        elif names:
            names.append(self._watermarks(api_key))
        return names

    @property
    def plain(self) -> list[bytes]:
        """The names of those that are of no account."""
        return [self.own, self.everybody, self.joined, *([self.staying] if self.is_staying else ())]
