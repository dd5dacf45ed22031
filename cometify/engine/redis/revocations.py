"""The revoked subjects of one account that a node knows of, from Redis."""

from collections.abc import Callable, Sequence

from cometify.core.revocation import Revocations

MOST_READ = 500
"""Revocations that one answer of Redis has, at about 1 us each. The first read of an account can have 10,000 to bring."""


class AccountRevocations(Revocations):
    """`known`: the version up to which all revocations were read. `learned(new, is_late)`: called with the (subject, time)
    of those that a read has brought, but not by the first read, because the node has no listener of the account before it.

    A revocation that is heard is noted at once. It does not raise `known`, because an earlier one may have been missed. So
    the next read of the account brings it once more, together with the missed ones.
    """

    def __init__(self, learned: Callable[[list[tuple[str, int]], bool], None]) -> None:
        super().__init__()
        self.known = 0
        self._learned = learned
        self._is_read = False  # True once all revocations of the first read are here

    def take_read(self, found: Sequence[bytes], *, is_late: bool = False) -> bool:
        """Take the revocations above `known` that `read.lua` has found: entries and versions in turn, in their order.

        `is_late`: the node was out of touch. Returns False if there may be more of them, which must be read before anybody
        joins.
        """
        new = []
        for entry in found[::2]:
            at, subject = entry.decode().split(" ", 1)
            if self.note(subject, int(at)):
                new.append((subject, int(at)))
        if found:
            self.known = max(self.known, int(found[-1]))
        if new and self._is_read:
            self._learned(new, is_late)
        is_whole = len(found) < 2 * MOST_READ
        self._is_read = self._is_read or is_whole
        return is_whole
