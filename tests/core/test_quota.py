"""The slots of one address, and the cost of its joins within a minute."""

from ipaddress import IPv6Address

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.account import Account
from cometify.core.client_network import address_of
from cometify.core.errors import TOO_MANY_LISTENERS, Refused
from cometify.core.quota import (
    ABSENCE,
    CHARGE_WINDOW,
    EXPIRE_STEPS,
    NAMES_A_STEP,
    NEW_IDENTIFIERS,
    REPLAY_BYTES,
    Quota,
)

HOME = ("37282591", "10.0.0.1")
ACCOUNT = Account("37282591", ("secret",), listeners_per_ip=2)


@given(st.ip_addresses(v=4))
@settings(max_examples=50)
def test_ipv4_mapped_into_ipv6_is_the_same_address(address):
    assert address_of(str(address)) == str(address)
    assert address_of(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.sampled_from(["", "%eth0"]))
@settings(max_examples=50)
def test_ipv6_64_is_one_address(address, host, zone):
    if address.ipv4_mapped is None:
        network = int(address) >> 64 << 64
        neighbour = IPv6Address(network | host)
        assert address_of(f"{address}{zone}") == f"{IPv6Address(network)}/64"
        assert neighbour.ipv4_mapped is not None or address_of(str(neighbour)) == address_of(str(address))


def test_other_ipv6_64_is_another_address():
    assert address_of("2001:db8:0:1::1") != address_of("2001:db8:0:2::1")


@pytest.mark.parametrize("host", ["", "/run/cometify.sock", "localhost", "10.0.0.256"])
def test_host_that_is_no_address_stands_for_itself(host):
    assert address_of(host) == host


def test_thirty_first_listener_is_refused_and_changes_nothing():
    quota = Quota()
    account = Account("37282591", ("secret",))
    for number in range(30):
        assert quota.take(HOME, account, f"listener{number}", object(), 0) is None
    with pytest.raises(Refused) as refused:
        quota.take(HOME, account, "one more", object(), 0)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert "30 listeners" in refused.value.detail
    assert len(quota) == 30


def test_address_and_account_have_slots_of_their_own():
    quota = Quota()
    for client_key in [HOME, ("37282591", "10.0.0.2"), ("other", "10.0.0.1")]:
        quota.take(client_key, ACCOUNT, "a", object(), 0)
        quota.take(client_key, ACCOUNT, "b", object(), 0)
    assert len(quota) == 6


def test_nothing_is_kept_where_no_listener_is_allowed():
    quota = Quota()
    with pytest.raises(Refused):
        quota.take(HOME, Account("37282591", ("secret",), listeners_per_ip=0), "a", object(), 0)
    assert len(quota) == 0


def test_listener_that_comes_again_takes_its_own_slot_when_full():
    quota = Quota()
    first, second = object(), object()
    quota.take(HOME, ACCOUNT, "a", first, 0)
    quota.take(HOME, ACCOUNT, "b", object(), 0)
    assert quota.take(HOME, ACCOUNT, "a", second, 0) is first
    assert len(quota) == 2


def test_replaced_holder_does_not_free_the_slot_of_the_next():
    quota = Quota()
    first, second = object(), object()
    quota.take(HOME, ACCOUNT, "a", first, 0)
    quota.take(HOME, ACCOUNT, "a", second, 0)
    quota.leave(HOME, "a", first)
    assert len(quota) == 1
    quota.leave(HOME, "a", second)
    assert len(quota) == 0


def test_leaving_twice_or_from_nowhere_changes_nothing():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.take(HOME, ACCOUNT, "b", object(), 0)
    quota.leave(HOME, "a", holder)
    quota.leave(HOME, "a", holder)
    quota.leave(("unknown", "10.0.0.1"), "a", holder)
    assert len(quota) == 1


def test_poller_keeps_its_slot_between_two_polls_and_no_longer():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.take(HOME, ACCOUNT, "b", object(), 0)
    quota.leave(HOME, "a", holder, keep_until=ABSENCE)
    with pytest.raises(Refused):
        quota.take(HOME, ACCOUNT, "c", object(), ABSENCE - 1)
    quota.expire(ABSENCE - 1)
    assert len(quota) == 2
    assert quota.take(HOME, ACCOUNT, "c", object(), ABSENCE) is None
    assert len(quota) == 2


def test_former_absence_does_not_free_a_poller_that_came_back():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.leave(HOME, "a", holder, keep_until=ABSENCE)
    assert quota.take(HOME, ACCOUNT, "a", holder, 5) is None
    quota.expire(ABSENCE)
    assert len(quota) == 1
    quota.leave(HOME, "a", holder, keep_until=30)
    quota.expire(29)
    assert len(quota) == 1
    quota.expire(30)
    assert len(quota) == 0


def test_poller_that_left_for_good_is_not_freed_twice():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.leave(HOME, "a", holder, keep_until=ABSENCE)
    quota.take(HOME, ACCOUNT, "a", holder, 1)
    quota.leave(HOME, "a", holder)
    quota.expire(ABSENCE)
    assert len(quota) == 0


def names(count):
    return [f"name{number}" for number in range(count)]


def test_new_identifiers_are_bounded_and_refused_do_not_count():
    quota = Quota()
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    quota.charge(HOME, ACCOUNT, names(most - 1), 0)
    with pytest.raises(Refused) as refused:
        quota.charge(HOME, ACCOUNT, ["new", "another"], 20)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert refused.value.retry == CHARGE_WINDOW - 20
    quota.charge(HOME, ACCOUNT, ["new"], 20)
    quota.charge(("37282591", "10.0.0.2"), ACCOUNT, names(most), 20)
    quota.charge(HOME, ACCOUNT, names(most), CHARGE_WINDOW)


def test_identifier_is_charged_once_in_a_window():
    """A poller names its identifiers with each poll."""
    quota = Quota()
    for _ in range(3):
        quota.charge(HOME, ACCOUNT, names(ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS), 0)
    with pytest.raises(Refused):
        quota.charge(HOME, ACCOUNT, ["chat"], 0)
    quota.charge(HOME, ACCOUNT, names(1), 0)


@pytest.mark.parametrize("ended_by", ["expire", "charge"])
def test_identifiers_of_a_window_that_is_over_are_freed_in_steps(ended_by):
    """A window can hold as many identifiers as `listeners_per_ip` allows."""
    quota, account = Quota(), Account("37282591", ("secret",), listeners_per_ip=10**6)
    many = EXPIRE_STEPS * NAMES_A_STEP * 5 // 4
    quota.charge(HOME, account, names(many), 0)
    left = []
    if ended_by == "charge":
        quota.charge(HOME, account, ["chat"], CHARGE_WINDOW)
    while quota.expire(CHARGE_WINDOW):
        left += map(len, quota._over)
    ending = ended_by == "expire"
    assert left == [many - (EXPIRE_STEPS - ending) * NAMES_A_STEP]
    assert not quota._over
    assert len(quota._spent) == (0 if ending else 1)


def test_retry_is_at_least_one_second():
    quota = Quota()
    quota.charge(HOME, ACCOUNT, names(1), 0)
    with pytest.raises(Refused) as refused:
        quota.charge(HOME, ACCOUNT, names(10**6), CHARGE_WINDOW - 0.1)
    assert refused.value.retry == 1


def test_used_up_replay_refuses_the_next_join():
    quota = Quota()
    quota.charge(HOME, ACCOUNT, (), 0)
    quota.replayed(HOME, ACCOUNT.listeners_per_ip * REPLAY_BYTES - 1)
    quota.charge(HOME, ACCOUNT, (), 1)
    quota.replayed(HOME, 1)
    with pytest.raises(Refused):
        quota.charge(HOME, ACCOUNT, (), 2)
    quota.charge(HOME, ACCOUNT, (), CHARGE_WINDOW)


def test_ended_window_is_forgotten_and_the_others_are_not():
    quota = Quota()
    other = ("37282591", "10.0.0.2")
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    quota.charge(HOME, ACCOUNT, names(most), 0)
    quota.charge(other, ACCOUNT, names(most), 30)
    assert quota.expire(CHARGE_WINDOW) is False
    assert list(quota._spent) == [other]
    quota.replayed(HOME, 10**12)  # Belongs to a window that is over.
    quota.charge(HOME, ACCOUNT, names(most), CHARGE_WINDOW)
    with pytest.raises(Refused):
        quota.charge(other, ACCOUNT, ["new"], CHARGE_WINDOW)
    quota.expire(10 * CHARGE_WINDOW)
    assert not quota._spent
    quota.charge(other, ACCOUNT, names(most), 10 * CHARGE_WINDOW)


def test_expire_is_bounded_and_tells_whether_more_are_due():
    quota = Quota()
    many = EXPIRE_STEPS * 3 // 4
    for number in range(many):
        client_key = ("37282591", f"10.0.{number // 256}.{number % 256}")
        quota.charge(client_key, ACCOUNT, names(1), 0)
        quota.take(client_key, ACCOUNT, "a", number, 0)
        quota.leave(client_key, "a", number, keep_until=ABSENCE)
    assert [quota.expire(ABSENCE - 1), len(quota), len(quota._spent)] == [False, many, many]
    assert [quota.expire(CHARGE_WINDOW), len(quota) + len(quota._spent)] == [True, 2 * many - EXPIRE_STEPS]
    assert [quota.expire(CHARGE_WINDOW), len(quota), len(quota._spent)] == [False, 0, 0]


def test_ended_absence_is_not_in_the_way_before_it_is_expired():
    freed = []
    quota = Quota(lambda client_key, listener: freed.append(listener))
    for name, until in (("a", ABSENCE), ("b", ABSENCE + 1)):
        quota.take(HOME, ACCOUNT, name, name, 0)
        quota.leave(HOME, name, name, keep_until=until)
    with pytest.raises(Refused):
        quota.take(HOME, ACCOUNT, "c", object(), ABSENCE - 0.1)
    assert quota.take(HOME, ACCOUNT, "c", object(), ABSENCE) is None
    assert (freed, quota.has(HOME, "b"), len(quota)) == (["a"], True, 2)
    assert quota.expire(ABSENCE) is False
    assert (freed, len(quota)) == (["a"], 2)
    quota.leave(HOME, "c", None)
    assert quota.take(HOME, Account("37282591", ("secret",), listeners_per_ip=2), "d", object(), ABSENCE + 1) is None
    assert freed == ["a", "b"]


def test_all_slots_of_an_address_may_have_ended():
    quota = Quota()
    for name in "ab":
        quota.take(HOME, ACCOUNT, name, name, 0)
        quota.leave(HOME, name, name, keep_until=ABSENCE)
    quota.take(HOME, ACCOUNT, "c", "c", ABSENCE)
    assert (quota.is_held_by(HOME, "c", "c"), len(quota)) == (True, 1)


def test_freed_is_called_once_for_each_slot():
    freed, many = [], Account("37282591", ("secret",))
    quota = Quota(lambda client_key, listener: freed.append((client_key, listener)))
    for number, name in enumerate(("gone", "polls", "moved", "stays")):
        quota.take(HOME, many, name, number, 0.0)
    quota.leave(HOME, "gone", 0)
    quota.leave(HOME, "gone", 0)
    quota.leave(HOME, "polls", 1, keep_until=10.0)
    assert freed == [(HOME, "gone")]
    assert quota.remove(HOME, "moved") == 2
    quota.leave(HOME, "moved", 2)
    quota.expire(10.0)
    assert freed == [(HOME, "gone"), (HOME, "moved"), (HOME, "polls")]


def test_slot_is_there_while_kept_and_not_after_removal():
    quota = Quota()
    assert not quota.has(HOME, "one")
    assert quota.remove(HOME, "one") is None
    quota.take(HOME, ACCOUNT, "one", "holder", 0.0)
    assert quota.has(HOME, "one")
    assert not quota.has(HOME, "other")
    assert quota.remove(HOME, "other") is None
    quota.leave(HOME, "one", "holder", keep_until=10.0)
    assert quota.has(HOME, "one")
    assert quota.remove(HOME, "one") is None
    assert not quota.has(HOME, "one")
    assert len(quota) == 0


def test_slot_is_held_by_its_last_taker():
    quota, one, other = Quota(), object(), object()
    assert not quota.is_held_by(HOME, "listener", one)
    quota.take(HOME, ACCOUNT, "listener", one, 0)
    assert quota.is_held_by(HOME, "listener", one)
    quota.take(HOME, ACCOUNT, "listener", other, 0)
    assert (quota.is_held_by(HOME, "listener", one), quota.is_held_by(HOME, "listener", other)) == (False, True)
    quota.leave(HOME, "listener", other)
    assert not quota.is_held_by(HOME, "listener", other)


# The account in all

FEW = Account("37282591", ("secret",), listeners=2)


def test_account_in_all_is_bounded_over_addresses():
    quota = Quota()
    holders = [object(), object()]
    for number, holder in enumerate(holders):
        quota.take(("37282591", f"10.0.0.{number}"), FEW, "a", holder, 0)
    with pytest.raises(Refused) as refused:
        quota.take(("37282591", "10.0.0.9"), FEW, "a", object(), 0)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert "2 listeners" in refused.value.detail
    assert len(quota) == 2
    assert quota.take(("37282591", "10.0.0.0"), FEW, "a", object(), 0) is holders[0], "it has its place"
    quota.leave(("37282591", "10.0.0.1"), "a", holders[1])
    assert quota.take(("37282591", "10.0.0.9"), FEW, "a", object(), 0) is None


def test_ended_absence_of_another_address_is_not_in_the_way():
    quota = Quota()
    for number in range(2):
        holder = object()
        quota.take(("37282591", f"10.0.0.{number}"), FEW, "a", holder, 0)
        quota.leave(("37282591", f"10.0.0.{number}"), "a", holder, keep_until=ABSENCE)
    with pytest.raises(Refused):
        quota.take(HOME, FEW, "b", object(), ABSENCE - 1)
    assert quota.take(HOME, FEW, "b", object(), ABSENCE) is None


def test_look_for_ended_absences_is_bounded():
    quota = Quota()
    many = Account("37282591", ("secret",), listeners=10**6)
    other = Account("other", ("secret",), listeners_per_ip=10**6)
    for number in range(2 * EXPIRE_STEPS):
        holder = object()
        quota.take(("other", "10.0.0.1"), other, f"{number}", holder, 0)
        quota.leave(("other", "10.0.0.1"), f"{number}", holder, keep_until=ABSENCE)
    quota.take(HOME, many, "a", object(), 0)
    with pytest.raises(Refused):
        quota.take(HOME, Account("37282591", ("secret",), listeners=1), "b", object(), ABSENCE)
    assert len(quota) == EXPIRE_STEPS + 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans()), max_size=60))
def test_count_of_an_account_is_that_of_its_slots(steps):
    """A listener takes a slot or gives it up, from any address; the model is the set of the held slots."""
    quota, held = Quota(), {}
    for address, name, comes in steps:
        key = (("37282591", f"10.0.0.{address}"), f"{name}")
        holder = object()
        if not comes:
            if key in held:
                quota.leave(*key, held.pop(key))
        elif key in held or len(held) < 2:
            quota.take(key[0], FEW, key[1], holder, 0)
            held[key] = holder
        else:
            with pytest.raises(Refused):
                quota.take(key[0], FEW, key[1], holder, 0)
        assert len(quota) == len(held)
