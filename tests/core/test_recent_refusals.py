"""The rows of the last refusals."""

from cometify.core.errors import INVALID_TEXT, NOT_AUTHORIZED, Refused
from cometify.core.recent_refusals import MOST_DETAIL, RecentRefusals

WRONG = Refused(NOT_AUTHORIZED, "secure does not match.")


def test_refusals_that_are_alike_are_one_row():
    recent = RecentRefusals()
    for now in (10.0, 11.0, 12.0):
        recent.note(now, "site", WRONG)
    (row,) = recent.rows()
    assert (row.account, row.code, row.detail) == ("site", "not_authorized", "secure does not match.")
    assert (row.first, row.last, row.count) == (10.0, 12.0, 3)


def test_latest_refusal_comes_first():
    recent = RecentRefusals()
    recent.note(1.0, "site", WRONG)
    recent.note(2.0, None, WRONG)
    recent.note(3.0, "site", Refused(INVALID_TEXT, "text holds U+0000."))
    recent.note(4.0, "site", WRONG)
    seen = [(row.account, row.code) for row in recent.rows()]
    assert seen == [("site", "not_authorized"), ("site", "invalid_text"), (None, "not_authorized")]


def test_flood_of_one_account_keeps_the_rows_of_others():
    recent = RecentRefusals(most=5)
    recent.note(0.0, "quiet", WRONG)
    for number in range(100):
        recent.note(1.0 + number, "loud", Refused(INVALID_TEXT, f"detail {number}"))
    rows = recent.rows()
    assert [row.detail for row in rows] == [*[f"detail {number}" for number in (99, 98, 97, 96)], WRONG.detail]
    assert len(recent) == 5


def test_many_accounts_have_the_same_room_together():
    recent = RecentRefusals(most=5)
    for number in range(100):
        recent.note(float(number), f"site{number}", WRONG)
    assert len(recent.rows()) == len(recent) == 5


def test_long_detail_is_cut():
    recent = RecentRefusals()
    recent.note(0.0, "site", Refused(INVALID_TEXT, "x" * 10_000))
    assert len(recent.rows()[0].detail) == MOST_DETAIL
