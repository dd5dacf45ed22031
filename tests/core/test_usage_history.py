"""The usage of an account by hours and days, as the hours and days of UTC go by."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.usage_history import DAY_LENGTH, DAYS, FIGURES, HOUR_LENGTH, UsageHistory, UsagePeriod

TODAY = 20_000 * DAY_LENGTH


def used(pushes, most=0, **refused):
    return UsagePeriod({**dict.fromkeys(FIGURES, 0), "pushes": pushes}, most, Counter(refused))


def of(report):
    """(pushes of the hour, pushes of each day)."""
    return report.hour[1].figures["pushes"], [day.figures["pushes"] for day in report.days]


def test_unused_account_has_zeros_for_every_day():
    report = UsageHistory().report(3, TODAY)
    assert (report.listeners, report.day, len(report.days)) == (3, 20_000, DAYS)
    assert of(report) == (0, [0] * DAYS)
    assert all(day == UsagePeriod() for day in (report.hour[1], *report.days))


def test_usage_adds_up_and_listeners_take_the_highest():
    history = UsageHistory()
    history.add(used(2, 5, not_authorized=1), TODAY)
    history.add(used(3, 4, not_authorized=2, overloaded=1), TODAY + 1)
    report = history.report(0, TODAY + 2)
    for period in (report.hour[1], report.days[0]):
        assert (period.figures["pushes"], period.most_listeners) == (5, 5)
        assert period.refused == {"not_authorized": 3, "overloaded": 1}


def test_hour_begins_again_at_the_full_hour():
    history = UsageHistory()
    history.add(used(2), TODAY + HOUR_LENGTH - 1)
    assert of(history.report(0, TODAY + HOUR_LENGTH - 1))[0] == 2
    report = history.report(0, TODAY + HOUR_LENGTH)
    assert (report.hour[0], of(report)[0]) == (20_000 * 24 + 1, 0)
    history.add(used(1), TODAY + HOUR_LENGTH)
    assert of(history.report(0, TODAY + HOUR_LENGTH)) == (1, [3, *[0] * 30])


@given(days=st.lists(st.integers(0, 70), max_size=20).map(sorted), last=st.integers(0, 40), pushes=st.integers(1, 9))
def test_last_31_days_are_told_and_no_others_kept(days, last, pushes):
    history = UsageHistory()
    for day in days:
        history.add(used(pushes), TODAY + day * DAY_LENGTH + 5)
    now = (days[-1] if days else 0) + last
    told = of(history.report(0, TODAY + now * DAY_LENGTH))[1]
    assert told == [days.count(now - back) * pushes for back in range(DAYS)]
    assert len(history._days) <= DAYS
