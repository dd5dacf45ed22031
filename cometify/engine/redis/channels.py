"""The channels of Redis that a node is subscribed to: its own, the channel of all nodes, and one for each identifier."""

from collections.abc import Iterable, Iterator

from cometify.engine.redis.account_state import AccountState

MOST_SUBSCRIBED = 1000
"""Channels in one SUBSCRIBE."""


class Channels:
    """`node`: the name of this node. `prefix`: the beginning of the names of all channels. `of_accounts`: that of the
    channels of identifiers, if it is another one. `of_nodes`: that of the nodes' own channels.

    `own`: the node's own channel, on which watermarks are published. `everybody`: the channel that all nodes hear. `staying`:
    the channel of all nodes that are not about to end. `is_staying`: this is one of them. `joined`: the channel of all nodes
    that can read several pushes in one message. Nothing is published there: `append.lua` counts its subscribers.
    `find(channel)`: the account and the identifier of a channel, or None if it is not followed.
    """

    def __init__(self, node: str, prefix: str, of_accounts: str | None = None) -> None:
        self.of_accounts = of_accounts or prefix
        self.of_nodes = f"{prefix}node:"
        self.own = f"{self.of_nodes}{node}".encode()
        self.everybody = f"{prefix}nodes".encode()
        self.staying = f"{prefix}staying".encode()
        self.joined = f"{prefix}joined".encode()
        self.is_staying = True
        self._followed: dict[bytes, tuple[AccountState, str]] = {}
        # A bound method of the dictionary and no method of this class, because every published message calls it.
        self.find = self._followed.get

    def is_of_node(self, channel: bytes) -> bool:
        """True for the name of a node's own channel."""
        return channel.startswith(self.of_nodes.encode())

    def name(self, state: AccountState, identifier: str) -> bytes:
        """The channel on which the pushes of an identifier are published. All databases of a Redis share channels."""
        return f"{self.of_accounts}{{{state.account.api_key}}}:{identifier}".encode()

    def of_watermarks(self, _state: AccountState) -> bytes:
        """The channel on which this node gets the watermarks of an account."""
        return self.own

    def add(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        """Follow identifiers. Returns the names of their channels."""
        named = {self.name(state, identifier): (state, identifier) for identifier in identifiers}
        self._followed.update(named)
        return list(named)

    def remove(self, state: AccountState, identifiers: Iterable[str]) -> list[bytes]:
        """Stop following identifiers. Returns the names of their channels."""
        names = [self.name(state, identifier) for identifier in identifiers]
        for name in names:
            del self._followed[name]
        return names

    def all(self) -> Iterator[list[bytes]]:
        """The names of all channels, in lists that one SUBSCRIBE takes."""
        # `everybody` and `joined` are in one SUBSCRIBE, so that no script counts this node in one of them alone.
        names = [self.own, self.everybody, self.joined, *self._followed, *([self.staying] if self.is_staying else ())]
        return (names[at : at + MOST_SUBSCRIBED] for at in range(0, len(names), MOST_SUBSCRIBED))
