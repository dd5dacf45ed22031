"""History: what one listener received, in order, over all its connections.

A history is compared with the acknowledged pushes (`bench.campaigns.faults.checker`). It holds facts and no judgement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Received:
    """A push as a listener received it."""

    identifier: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap as a listener was told it."""

    identifiers: tuple[str, ...]


@dataclass
class History:
    """Everything one listener received since the last check, and what must be remembered of the time before.

    `rights` maps each identifier of the listener to its right to secret pushes. `joined_at` maps each identifier to the
    position after which the listener must get everything; it is empty until the listener has joined. `entries` are
    pushes, gaps and the positions of heartbeats. `highest` and `known_texts` belong to the time before `entries`: the
    highest position, heartbeats included, and the texts of all pushes. `remarks` are frames that were wrong by themselves.
    """

    name: str
    rights: Mapping[str, bool]
    joined_at: dict[str, int] = field(default_factory=dict)
    entries: list[Received | Gap | int] = field(default_factory=list)
    highest: int = 0
    known_texts: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def missing_gaps(self) -> list[str]:
        """Describe each identifier of which no gap was told. For a fault after which every listener must be told one."""
        told = {name for entry in self.entries if isinstance(entry, Gap) for name in entry.identifiers}
        return [f"{self.name}: was told no gap in {name}" for name in self.rights if name not in told]

    def forget_checked(self) -> None:
        """Begin a new period, because all entries have been checked."""
        for entry in self.entries:
            if isinstance(entry, Received):
                self.known_texts.add(entry.text)
                self.highest = max(self.highest, entry.position)
            elif isinstance(entry, int):
                self.highest = max(self.highest, entry)
        self.entries = []
        self.remarks = []
