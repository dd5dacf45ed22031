"""The difference between two lists of accounts."""

import attrs
import pytest

from cometify.config.difference import Difference
from cometify.core.account import Account


def accounts(*keys):
    return [Account(str(key), ("s3cr3t",)) for key in keys]


def test_difference_names_accounts_and_settings_without_values():
    before = accounts("stays", "goes", "changes")
    changed = attrs.evolve(before[2], api_secrets=("0ther",), listeners=7)
    difference = Difference.between(before, [before[0], changed, *accounts("comes")])
    assert str(difference) == "came: comes; changed: changes (api_secrets, listeners); gone: goes"
    assert str(Difference.between(before, before)) == "no account has changed"


def test_long_list_of_names_is_cut():
    assert str(Difference.between([], accounts(*range(25)))).endswith(", 18, 19, 5 more")


@pytest.mark.parametrize(
    ("before", "gone", "too_many"),
    [
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (20, 2, False),
        (20, 3, True),
        (40, 4, False),
        (40, 29, True),
        (0, 0, False),
    ],
)
def test_more_than_a_tenth_and_more_than_one_are_too_many(before, gone, too_many):
    difference = Difference.between(accounts(*range(before)), accounts(*range(gone, before)))
    assert difference.drops_too_many is too_many
