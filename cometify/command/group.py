"""A group of identifiers as a listener asks for it, and the cursor from which it resumes. Nothing here does I/O."""

from typing import Any

import attrs

from cometify.command.frames import Frame
from cometify.core.identifier import Names


@attrs.define
class Group:
    """`cursor`: the position up to which the group has its pushes. None until the server has given the first.

    A group gets its pushes in the order of their positions. So one that is not above the cursor is a repetition. After a
    gap positions may be lower, because the memory of the server began again.
    """

    names: Names
    secure_key: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)
    cursor: int | None = None
    _is_after_gap: bool = attrs.field(default=False, init=False)

    def asked(self) -> dict[str, Any]:
        """The group in a `listen` frame. It has the internal ids each time, as in the first request."""
        spelled = [identifier.spelled for identifier in self.names.identifiers]
        ids = self.names.internal_ids
        asked: dict[str, Any] = {
            "identifiers": spelled if ids is None else dict(zip(spelled, ids, strict=True)),
        }
        if self.secure_key:
            asked["secureKey"] = self.secure_key
        if self.token:
            asked["token"] = self.token
        if self.cursor is not None:
            asked["position"] = self.cursor
        return asked

    def take(self, frame: Frame) -> bool:
        """Move the cursor by a frame. Returns True if the frame is a new push, or a gap."""
        match frame["type"]:
            case "ready":
                # A group that resumes keeps its own cursor. The position of the server may belong to a gap that is told next.
                if self.cursor is None:
                    (self.cursor,) = frame["positions"]
            case "push":
                return self._move(frame["position"])
            case "heartbeat":
                self._move(frame["position"])
            case "gap":
                self._is_after_gap = True
                return True
        return False

    def _move(self, position: int) -> bool:
        is_new = self._is_after_gap or self.cursor is None or position > self.cursor
        if is_new:
            self.cursor = position
            self._is_after_gap = False
        return is_new
