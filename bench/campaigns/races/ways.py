"""The ways in which a page joins: those that docs/page-load.md advises, and three that lose changes."""

import time
from dataclasses import dataclass
from enum import Enum, auto


class Start(Enum):
    """The value that the page joins with."""

    POSITION = auto()
    """The position that the server told before the rows were read."""
    LATE_POSITION = auto()
    """A position that is told after the rows were read."""
    CLOCK = auto()
    """The clock before the rows were read, less the margin."""
    EVENT = auto()
    """The number of the newest event."""
    ROW = auto()
    """The highest id of a row."""


@dataclass(frozen=True)
class Way:
    """One way. `marks`: deleted rows are kept with a mark. `closes`: the documentation promises that nothing is lost."""

    name: str
    start: Start
    marks: bool = True
    closes: bool = True

    @property
    def is_numbered(self) -> bool:
        """True if the page joins with an internal id."""
        return self.start in (Start.EVENT, Start.ROW)


WAYS = (
    Way("position", Start.POSITION),
    Way("clock", Start.CLOCK),
    Way("events", Start.EVENT),
    Way("position too late", Start.LATE_POSITION, closes=False),
    Way("ids of rows", Start.ROW, closes=False),
    Way("rows without a mark", Start.POSITION, marks=False, closes=False),
)
MARGIN = 5_000_000
"""Microseconds that are taken off the clock."""


def clock_position() -> int:
    """Return the position that a back end makes of its clock."""
    return int(time.time() * 1_000_000) - MARGIN
