"""The histories of the accounts that do the most."""

from cometify.core.account_histories import MOST, AccountHistories
from cometify.core.history import EVERY, SAMPLES

NOW = 1_800_000_000


def sampled(histories, *samples):
    for number, figures in enumerate(samples):
        histories.add(NOW + number * EVERY, {key: {"pushes": pushes} for key, pushes in figures.items() if pushes})


def test_each_account_has_its_figures():
    histories = AccountHistories()
    sampled(histories, {"a": 1}, {"a": 2, "b": 3}, {})
    assert histories.since("a", 0)["columns"] == {"pushes": [1, 2, 0]}
    assert histories.since("b", 0)["columns"] == {"pushes": [3, 0]}
    assert histories.since("c", 0)["samples"] == 0
    assert histories.last_minute() == {"a": {"pushes": 3}, "b": {"pushes": 3}}


def test_account_that_does_more_takes_the_place_of_another():
    histories = AccountHistories(most=2)
    sampled(histories, {"a": 5, "b": 1}, {"a": 5, "c": 3})
    assert sorted(histories.last_minute()) == ["a", "c"]


def test_account_that_does_less_takes_no_place():
    histories = AccountHistories(most=2)
    sampled(histories, {"a": 5, "b": 4}, {"a": 5, "c": 3})
    assert sorted(histories.last_minute()) == ["a", "b"]


def test_account_that_was_idle_for_an_hour_is_forgotten():
    histories = AccountHistories()
    sampled(histories, {"a": 1, "b": 1}, *[{"b": 1}] * SAMPLES)
    assert len(histories) == 1


def test_account_that_did_nothing_for_a_minute_is_not_listed():
    histories = AccountHistories()
    sampled(histories, {"a": 1}, *[{}] * 12)
    assert histories.last_minute() == {}


def test_number_of_accounts_is_bounded():
    histories = AccountHistories()
    sampled(histories, *[{f"{turn}-{number}": number + turn for number in range(300)} for turn in range(5)])
    assert len(histories) == MOST


def test_no_account_has_a_place_if_there_is_none():
    histories = AccountHistories(most=0)
    sampled(histories, {"a": 1})
    assert len(histories) == 0
