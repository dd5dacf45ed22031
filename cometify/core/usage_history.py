"""The usage of an account in the current hour and in each of the last days, as a back end is told of it.

Hours and days are those of UTC by the engine's clock. They are numbered from 1970 on.
"""

from collections import Counter

import attrs

from cometify.core.position import SECOND

FIGURES = ("pushes", "push_bytes", "deliveries", "delivered_bytes", "gaps")
"""The counts of `AccountCounts` that are added up. `core.usage` says what they count."""
DAYS = 31
"""Days that are told, today among them."""
HOUR_LENGTH, DAY_LENGTH = 3600 * SECOND, 86_400 * SECOND
"""Microseconds."""


@attrs.define
class UsagePeriod:
    """The usage of an account in a time. `figures`: by the names in `FIGURES`. `refused`: by the name of the code."""

    figures: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(FIGURES, 0))
    most_listeners: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)

    def add(self, other: "UsagePeriod") -> None:
        """Add the usage of another time, or of another process."""
        for name, value in other.figures.items():
            self.figures[name] += value
        self.most_listeners = max(self.most_listeners, other.most_listeners)
        self.refused.update(other.refused)


@attrs.frozen
class UsageReport:
    """The usage of an account. `day`: the number of today. `days`: today first, `DAYS` of them.

    `hour`: the number of the current hour, and its usage. `listeners`: those of now.
    """

    listeners: int
    hour: tuple[int, UsagePeriod]
    day: int
    days: tuple[UsagePeriod, ...]


class UsageHistory:
    """The usage of one account, kept in this process."""

    __slots__ = ("_days", "_hour")

    def __init__(self) -> None:
        self._days: dict[int, UsagePeriod] = {}
        self._hour = (0, UsagePeriod())

    def add(self, period: UsagePeriod, now: int) -> None:
        """Add a usage to the hour and the day of now (microseconds), and forget the days that are no longer told."""
        hour, day = now // HOUR_LENGTH, now // DAY_LENGTH
        if self._hour[0] != hour:
            self._hour = hour, UsagePeriod()
        self._hour[1].add(period)
        if day not in self._days:
            self._days = {one: usage for one, usage in self._days.items() if one > day - DAYS}
            self._days[day] = UsagePeriod()
        self._days[day].add(period)

    def report(self, listeners: int, now: int) -> UsageReport:
        """Make the report of now."""
        hour, day = now // HOUR_LENGTH, now // DAY_LENGTH
        current = self._hour[1] if self._hour[0] == hour else UsagePeriod()
        nothing = UsagePeriod()
        days = tuple([self._days.get(one, nothing) for one in range(day, day - DAYS, -1)])
        return UsageReport(listeners, (hour, current), day, days)
