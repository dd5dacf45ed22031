"""A client without I/O: the cursors of one listener and its history.

The cursors move by the rules that `docs/protocol.md` gives to clients. This is a second implementation of them, and shares
no code with the browser client.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.rig import wire
from bench.rig.history import Gap, History, Received


class Refused(Exception):
    """The server sent an error frame or a problem document. `retry` tells whether the client may come back."""

    def __init__(self, code: str, detail: str, retry: bool) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.retry = retry


class ReconnectRequested(Exception):
    """The server asked the client to come back after so many seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(after)
        self.after = after


@dataclass
class Group:
    """A group of a `listen` frame, and its cursor.

    `position` is None until the first `ready`. After a gap the cursor takes the next position even if it is lower.
    """

    names: tuple[str, ...]
    right: bool
    position: int | None = None
    gap: bool = False

    def as_listen_group(self) -> dict[str, Any]:
        """The group as it stands in a `listen` frame."""
        group: dict[str, Any] = {"identifiers": list(self.names)}
        if self.right:
            group["secureKey"] = wire.secure_key(*self.names)
        if self.position is not None:
            group["position"] = self.position
        return group

    def advance(self, position: int) -> None:
        """Move the cursor forward, or anywhere after a gap."""
        if self.gap or self.position is None or position > self.position:
            self.position = position
        self.gap = False


@dataclass
class Client:
    """One listener. Its groups share no identifier, because each push must come exactly once."""

    name: str
    groups: Sequence[Group]
    history: History = field(init=False)
    last_positions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = History(self.name, {name: group.right for group in self.groups for name in group.names})

    def listen_frame(self) -> dict[str, Any]:
        """The `listen` frame that resumes all groups."""
        return {"type": "listen", "listener": self.name, "groups": [group.as_listen_group() for group in self.groups]}

    def receive(self, frame: dict[str, Any]) -> None:
        """Take one frame. Raises Refused for `error`, and ReconnectRequested for `reconnect`."""
        kind = frame.get("type")
        if kind == "ready":
            self._receive_ready(frame["positions"])
        elif kind == "push":
            self._receive_push(frame["identifier"], frame["text"], frame["position"])
        elif kind == "heartbeat":
            self._receive_heartbeat(frame["position"])
        elif kind == "gap":
            self._receive_gap(frame["identifiers"])
        elif kind == "error":
            raise Refused(frame["code"], frame["detail"], frame["retry"] is not None)
        elif kind == "reconnect":
            raise ReconnectRequested(frame["after"] / 1000)
        else:
            self.history.remarks.append(f"an unknown frame: {frame}")

    def has_reached(self, identifier: str, position: int) -> bool:
        """True if the client has a push at or above this position, and for identifiers that it does not listen to."""
        return identifier not in self.history.rights or self.last_positions.get(identifier, 0) >= position

    def _receive_ready(self, positions: list[int]) -> None:
        if len(positions) != len(self.groups):
            self.history.remarks.append(f"{len(self.groups)} groups, {len(positions)} positions in ready")
        for group, position in zip(self.groups, positions, strict=False):
            if group.position is None:
                group.position = position
                self.history.joined_at.update(dict.fromkeys(group.names, position))

    def _receive_push(self, identifier: str, text: str, position: int) -> None:
        self.history.entries.append(Received(identifier, text, position))
        if position <= self.last_positions.get(identifier, 0):
            return
        self.last_positions[identifier] = position
        for group in self.groups:
            if identifier in group.names:
                group.advance(position)

    def _receive_heartbeat(self, position: int) -> None:
        self.history.entries.append(position)
        for group in self.groups:
            if group.position is not None:
                group.advance(position)

    def _receive_gap(self, identifiers: list[str]) -> None:
        self.history.entries.append(Gap(tuple(identifiers)))
        for name in identifiers:
            self.last_positions.pop(name, None)
        for group in self.groups:
            group.gap = group.gap or not set(group.names).isdisjoint(identifiers)
