"""Names in alphabetical order, added and removed one by one.

A back end reads the identifiers of its account page by page, in the order of their names. There can be a million of them,
and sorting them for each page would take a second. One sorted list would be slow too, because each new name moves all
names behind it. So the names are in parts, each a sorted list of at most `MOST` names. A new name costs two bisections and
moves the rest of one part.
"""

from bisect import bisect_left

MOST = 1_000
"""Names of one part. A part that has more is cut in half."""


class SortedNames:
    """A set of names."""

    __slots__ = ("_lasts", "_parts")

    def __init__(self) -> None:
        self._parts: list[list[str]] = []
        self._lasts: list[str] = []  # the last name of each part

    def add(self, name: str) -> None:
        """Add a name, unless it is there already."""
        lasts, parts = self._lasts, self._parts
        if not parts:
            parts.append([name])
            lasts.append(name)
            return
        at = min(bisect_left(lasts, name), len(lasts) - 1)
        part = parts[at]
        index = bisect_left(part, name)
        if index < len(part) and part[index] == name:
            return
        part.insert(index, name)
        lasts[at] = part[-1]
        if len(part) > MOST:
            half = len(part) // 2
            parts.insert(at + 1, part[half:])
            del part[half:]
            lasts.insert(at, part[-1])

    def discard(self, name: str) -> None:
        """Remove a name, if it is there."""
        lasts, parts = self._lasts, self._parts
        at = bisect_left(lasts, name)
        if at == len(parts):
            return
        part = parts[at]
        index = bisect_left(part, name)
        if part[index] != name:
            return
        del part[index]
        if part:
            lasts[at] = part[-1]
        else:
            del parts[at], lasts[at]

    def starting_at(self, lowest: str, most: int) -> list[str]:
        """The first names that are not below `lowest`, at most `most`, in order."""
        found: list[str] = []
        for at in range(bisect_left(self._lasts, lowest), len(self._parts)):
            part = self._parts[at]
            first = bisect_left(part, lowest)
            found += part[first : first + most - len(found)]
            if len(found) >= most:
                break
        return found
