"""The findings of `cometify doctor`: one line each, with the name of the fault and the way to mend it."""

from enum import StrEnum

import attrs

from cometify.command.troubles import REMEDIES, Trouble


class Status(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@attrs.frozen
class Finding:
    """`fault`: a key of `REMEDIES`, or empty. `figures`: for programs, such as milliseconds."""

    check: str
    status: Status
    detail: str
    fault: str = ""
    figures: dict[str, float] = attrs.field(factory=dict)

    @property
    def remedy(self) -> str:
        """A sentence that says what to do, or nothing."""
        return REMEDIES.get(self.fault, "")


def failed(check: str, trouble: Trouble) -> Finding:
    """The finding for a check that ran into trouble."""
    return Finding(check, Status.FAILED, trouble.detail, trouble.fault)
