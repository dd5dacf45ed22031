"""A listener's cursors, by the rules that the wire's description gives its clients, and its diary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.campaigns.faults.checker import Diary, Gap, Got
from bench.rig import wire


class Refused(Exception):
    """An error frame, or a problem document. `retry`: whether one may come back."""

    def __init__(self, code: str, detail: str, retry: bool) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.retry = retry


class Goodbye(Exception):
    """The server asks to come back after so many seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(after)
        self.after = after


@dataclass
class Group:
    """What is asked for in one go, and where it is: nowhere yet, or at a position; lower is taken after a gap only."""

    names: tuple[str, ...]
    right: bool
    position: int | None = None
    gap: bool = False

    def ask(self) -> dict[str, Any]:
        """The group of a listen frame."""
        asked: dict[str, Any] = {"identifiers": list(self.names)}
        if self.right:
            asked["secureKey"] = wire.secure_key(*self.names)
        if self.position is not None:
            asked["position"] = self.position
        return asked

    def move(self, position: int) -> None:
        """The cursor goes on, or back after a gap."""
        if self.gap or self.position is None or position > self.position:
            self.position = position
        self.gap = False


@dataclass
class Page:
    """One listener: groups that share no identifier, so that no push may come twice, and all that it was told."""

    name: str
    groups: Sequence[Group]
    diary: Diary = field(init=False)
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.diary = Diary(self.name, {name: group.right for group in self.groups for name in group.names})

    def listen(self) -> dict[str, Any]:
        """The listen frame with which it comes again."""
        return {"type": "listen", "listener": self.name, "groups": [group.ask() for group in self.groups]}

    def take(self, frame: dict[str, Any]) -> None:
        """A frame came. Raises Refused and Goodbye."""
        kind = frame.get("type")
        if kind == "ready":
            self._ready(frame["positions"])
        elif kind == "push":
            self._push(frame["identifier"], frame["text"], frame["position"])
        elif kind == "heartbeat":
            self._heartbeat(frame["position"])
        elif kind == "gap":
            self._gap(frame["identifiers"])
        elif kind == "error":
            raise Refused(frame["code"], frame["detail"], frame["retry"] is not None)
        elif kind == "reconnect":
            raise Goodbye(frame["after"] / 1000)
        else:
            self.diary.remarks.append(f"an unknown frame: {frame}")

    def has(self, identifier: str, position: int) -> bool:
        """Whether it has got as far in this identifier, if it ever will."""
        return identifier not in self.diary.rights or self.last.get(identifier, 0) >= position

    def _ready(self, positions: list[int]) -> None:
        if len(positions) != len(self.groups):
            self.diary.remarks.append(f"{len(self.groups)} groups, {len(positions)} positions in ready")
        for group, position in zip(self.groups, positions, strict=False):
            if group.position is None:
                group.position = position
                self.diary.begins.update(dict.fromkeys(group.names, position))

    def _push(self, identifier: str, text: str, position: int) -> None:
        self.diary.entries.append(Got(identifier, text, position))
        if position <= self.last.get(identifier, 0):
            return
        self.last[identifier] = position
        for group in self.groups:
            if identifier in group.names:
                group.move(position)

    def _heartbeat(self, position: int) -> None:
        self.diary.entries.append(position)
        for group in self.groups:
            if group.position is not None:
                group.move(position)

    def _gap(self, identifiers: list[str]) -> None:
        self.diary.entries.append(Gap(tuple(identifiers)))
        for name in identifiers:
            self.last.pop(name, None)
        for group in self.groups:
            group.gap = group.gap or not set(group.names).isdisjoint(identifiers)
