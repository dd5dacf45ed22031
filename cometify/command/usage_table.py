"""The usage of an account as a table for a person."""

from collections.abc import Iterator

from cometify.client import Usage, UsagePeriod
from cometify.command.escapes import escaped

_ROW = "{:<10} {:>10} {:>12} {:>12} {:>14} {:>17}  {}"


def usage_lines(usage: Usage) -> Iterator[str]:
    """Yield the lines of the table: this hour, and each day on which the account was used."""
    yield f"Listeners now: {usage.listeners}. Days are those of UTC."
    yield _ROW.format("", "pushes", "bytes", "deliveries", "bytes", "listeners at most", "refused")
    yield _row("this hour", usage.hour)
    for day in usage.days:
        if day.pushes or day.deliveries or day.most_listeners or day.refused:
            yield _row(f"{day.begins:%Y-%m-%d}", day)


def _row(name: str, period: UsagePeriod) -> str:
    refused = ", ".join(f"{count} {escaped(code)}" for code, count in sorted(period.refused.items())) or "-"
    figures = period.pushes, period.push_bytes, period.deliveries, period.delivered_bytes, period.most_listeners
    return _ROW.format(name, *figures, refused)
