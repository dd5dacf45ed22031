"""Accounts are spread over several Redis: evenly, alike on all nodes, and few move when the list changes."""

from collections import Counter

from cometify.core.account import Account
from cometify.core.histogram import SIZES, Histogram
from cometify.engine.redis.latency_sum import SumOfHistograms
from cometify.engine.redis.spread import AccountsHere, Spread, home_of

KEYS = [f"site{number}" for number in range(3000)]


def test_each_redis_gets_its_share():
    shares = Counter(home_of(key, "abc") for key in KEYS)
    assert set(shares) == set("abc")
    assert all(900 < share < 1100 for share in shares.values())


def test_order_of_the_list_does_not_matter():
    assert [home_of(key, "abc") for key in KEYS] == [home_of(key, "cab") for key in KEYS]
    assert Spread("a", ("a", "b")).record() == Spread("b", ("b", "a")).record()


def test_only_accounts_of_the_added_redis_move():
    moved = [(home_of(key, "ab"), home_of(key, "abc")) for key in KEYS if home_of(key, "ab") != home_of(key, "abc")]
    assert {after for _before, after in moved} == {"c"}
    assert 900 < len(moved) < 1100


def test_each_account_is_at_one_redis():
    accounts = [Account(key, ("secret",)) for key in KEYS[:100]]
    parts = [list(AccountsHere(accounts, Spread(name, ("a", "b", "c")))) for name in "abc"]
    assert sorted(account.api_key for part in parts for account in part) == sorted(KEYS[:100])


def test_home_of_an_account_never_changes_with_versions():
    """A version that answers otherwise would move accounts."""
    assert "".join(home_of(key, ("a", "b", "c")) for key in KEYS[:24]) == "bbabcbabcaaaaccbaabcccab"


def test_sum_has_the_values_of_all_at_any_time():
    parts = [Histogram(SIZES), Histogram(SIZES)]
    found, expected = SumOfHistograms(parts), Histogram(SIZES)
    for index, value in enumerate((0.0, 5.0, 5_000.0, 1e9)):
        parts[index % 2].observe(value)
        expected.observe(value)
        assert (found.bounds, found.counts, found.total) == (SIZES, expected.counts, expected.total)
