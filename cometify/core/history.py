"""Figures of the last hour: a ring of samples of a fixed size.

A sample has one number for each column. Samples are numbered by the time: Unix seconds divided by `EVERY`. So the samples of
several processes can be added, because those with one number belong to the same five seconds.

    number      1000   1001   1002   1003
    pushes         4      0      -      9        1002 was left out: the process was stopped, and its figures are 0
    listeners     12     12      0     11

A timer does not fire exactly once in each five seconds of the clock. So a sample gets the number after the last one, unless the
clock says that more than one number lies between. Otherwise some numbers would have twice the figures, and some none.
"""

from array import array
from collections.abc import Mapping

EVERY = 5
"""Seconds between two samples."""
SAMPLES = 720
"""Samples that are kept: those of an hour."""
_MOST = 2**32 - 1
"""The highest figure. A column has four bytes for each."""


class History:
    """The samples of one subject. A column takes `4 * samples` bytes from its first figure that is not 0."""

    def __init__(self, samples: int = SAMPLES) -> None:
        self._samples = samples
        self._columns: dict[str, array[int]] = {}
        self._last: int | None = None
        self._kept = 0

    def add(self, now: float, values: Mapping[str, int]) -> None:
        """Add a sample. `now`: Unix seconds. `values`: the figures, by the name of their column; those left out are 0."""
        number = self._number_at(now)
        slot = number % self._samples
        for name, column in self._columns.items():
            column[slot] = min(values.get(name, 0), _MOST)
        for name in values.keys() - self._columns.keys():
            if values[name]:
                column = self._columns[name] = array("I", bytes(4 * self._samples))
                column[slot] = min(values[name], _MOST)

    def _number_at(self, now: float) -> int:
        """Make room for a sample, and return its number."""
        number, last = int(now // EVERY), self._last
        if last is None or number < last - 1 or number > last + self._samples:
            # The clock was set back, or the process was stopped for an hour.
            self._columns.clear()
            self._kept = 1
        else:
            number = last + 1 if number <= last + 2 else number
            for missed in range(last + 1, number):
                for column in self._columns.values():
                    column[missed % self._samples] = 0
            self._kept = min(self._kept + number - last, self._samples)
        self._last = number
        return number

    def since(self, at: float) -> dict[str, object]:
        """Describe the samples that are newer than `at`, in Unix seconds, in values that JSON has.

        `from`: the Unix seconds of the first of them. Columns that are 0 in all of them are left out.
        """
        last = -1 if self._last is None else self._last
        first = max(last - self._kept + 1, int(at // EVERY) + 1)
        first = min(first, last + 1)
        columns = {name: self._figures(column, first, last) for name, column in self._columns.items()}
        return {
            "every": EVERY,
            "from": first * EVERY,
            "samples": last + 1 - first,
            "columns": {name: figures for name, figures in columns.items() if any(figures)},
        }

    def _figures(self, column: "array[int]", first: int, last: int) -> list[int]:
        if last < first:
            return []
        start, end = first % self._samples, last % self._samples + 1
        return (column[start:end] if start < end else column[start:] + column[:end]).tolist()

    def sums(self, samples: int) -> dict[str, int]:
        """The sum of the last `samples` figures of each column that has other figures than 0."""
        last = -1 if self._last is None else self._last
        first = last - min(samples, self._kept) + 1
        sums = {name: sum(self._figures(column, first, last)) for name, column in self._columns.items()}
        return {name: total for name, total in sums.items() if total}

    @property
    def size(self) -> int:
        """The bytes of the columns."""
        return sum(len(column) * column.itemsize for column in self._columns.values())
