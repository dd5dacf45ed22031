"""A listener that notes each push of the outbox: its id, its position and the time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.rig.client import Client, Group


@dataclass
class Ear(Client):
    """One listener over all its connections.

    `order`: the ids of each identifier, as they came. `positions`: of each id; a second one is a second push. `delays`: the
    seconds since the writer was about to commit.
    """

    order: dict[str, list[int]] = field(default_factory=dict)
    positions: dict[int, set[int]] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    gaps: int = 0

    @classmethod
    def on(cls, name: str, identifiers: Sequence[str]) -> "Ear":
        """Make one that listens to these identifiers."""
        return cls(name, [Group(tuple(identifiers), right=False)])

    @property
    def has_joined(self) -> bool:
        """True once the listener has a position from which it gets everything."""
        return self.groups[0].position is not None

    def receive(self, frame: dict[str, Any]) -> None:
        """See `Client`."""
        super().receive(frame)
        self.history.entries.clear()
        if frame.get("type") == "gap":
            self.gaps += 1
        elif frame.get("type") == "push" and frame["push_id"] is not None:
            row = int(frame["push_id"])
            if row not in self.positions:
                self.order.setdefault(frame["identifier"], []).append(row)
                self.delays.append(time.time() - float(frame["text"].partition(" ")[2]))
            self.positions.setdefault(row, set()).add(frame["position"])
