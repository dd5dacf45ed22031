"""The accounts of a process: those of the file before those of a store, and a hash of all."""

import attrs
import pytest

from cometify.config.accounts import Accounts
from cometify.core.account import Account
from cometify.core.errors import Refused

ONE, TWO = Account("one", ("s3cr3t of one",)), Account("two", ("s3cr3t of two",))


def test_hash_is_the_same_for_the_same_accounts_in_any_order():
    first, second = Accounts([ONE, TWO]), Accounts([TWO])
    second.replace_kept({"one": ONE})
    assert first.hash() == second.hash() == first.hash()
    assert Accounts([]).hash() == 0


@pytest.mark.parametrize("change", [{"api_secrets": ("other",)}, {"listeners": 5}, {"suspended": True}])
def test_hash_tells_every_change(change):
    accounts = Accounts([ONE, TWO])
    before = accounts.hash()
    accounts.replace([attrs.evolve(ONE, **change), TWO])
    assert accounts.hash() != before
    accounts.replace([attrs.evolve(ONE), TWO])
    assert accounts.hash() == before


def test_account_of_the_file_hides_the_one_of_the_store():
    accounts = Accounts([ONE])
    accounts.replace_kept({"one": attrs.evolve(ONE, listeners=5), "two": TWO})
    assert (accounts.get("one"), accounts.get("two"), len(accounts)) == (ONE, TWO, 2)
    accounts.replace([])
    assert accounts.get("one").listeners == 5


def test_unknown_key_may_come_again_until_the_store_was_read():
    accounts = Accounts([ONE], is_complete=False)
    assert accounts.find("one") is ONE
    with pytest.raises(Refused) as refused:
        accounts.find("two")
    assert (refused.value.code.name, refused.value.retry) == ("engine_unavailable", 2)
    accounts.replace_kept({})
    assert accounts.find("two") is None


def test_equal_account_stays_the_same_object():
    accounts = Accounts([ONE])
    accounts.replace([attrs.evolve(ONE)])
    assert accounts.get("one") is ONE
