"""Thirty listeners from one address, and what one address may cost within a minute."""

from ipaddress import IPv6Address

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.account import Account
from cometify.core.client_network import address_of
from cometify.core.errors import TOO_MANY_LISTENERS, Refused
from cometify.core.quota import ABSENCE, MINUTE, NEW_IDENTIFIERS, REPLAY_BYTES, Quota

HOME = ("37282591", "10.0.0.1")
ACCOUNT = Account("37282591", ("secret",), listeners_per_ip=2)


@given(st.ip_addresses(v=4))
@settings(max_examples=50)
def test_an_ipv4_address_is_one_address_also_where_it_is_mapped_into_ipv6(address):
    assert address_of(str(address)) == str(address)
    assert address_of(f"::ffff:{address}") == str(address)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1), st.sampled_from(["", "%eth0"]))
@settings(max_examples=50)
def test_an_ipv6_network_of_64_bits_is_one_address(address, host, zone):
    if address.ipv4_mapped is None:
        network = int(address) >> 64 << 64
        neighbour = IPv6Address(network | host)
        assert address_of(f"{address}{zone}") == f"{IPv6Address(network)}/64"
        assert neighbour.ipv4_mapped is not None or address_of(str(neighbour)) == address_of(str(address))


def test_another_ipv6_network_is_another_address():
    assert address_of("2001:db8:0:1::1") != address_of("2001:db8:0:2::1")


@pytest.mark.parametrize("host", ["", "/run/cometify.sock", "localhost", "10.0.0.256"])
def test_what_is_no_address_stands_for_itself(host):
    assert address_of(host) == host


def test_the_thirty_first_listener_of_an_address_is_refused_and_changes_nothing():
    quota = Quota()
    account = Account("37282591", ("secret",))
    for number in range(30):
        assert quota.take(HOME, account, f"listener{number}", object(), 0) is None
    with pytest.raises(Refused) as refused:
        quota.take(HOME, account, "one more", object(), 0)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert "30 listeners" in refused.value.detail
    assert len(quota) == 30


def test_another_address_and_another_account_have_places_of_their_own():
    quota = Quota()
    for client_key in [HOME, ("37282591", "10.0.0.2"), ("other", "10.0.0.1")]:
        quota.take(client_key, ACCOUNT, "a", object(), 0)
        quota.take(client_key, ACCOUNT, "b", object(), 0)
    assert len(quota) == 6


def test_where_no_listener_is_allowed_nothing_is_kept_of_a_refused_one():
    quota = Quota()
    with pytest.raises(Refused):
        quota.take(HOME, Account("37282591", ("secret",), listeners_per_ip=0), "a", object(), 0)
    assert len(quota) == 0


def test_the_same_listener_again_takes_its_own_place_also_when_all_are_taken():
    quota = Quota()
    first, second = object(), object()
    quota.take(HOME, ACCOUNT, "a", first, 0)
    quota.take(HOME, ACCOUNT, "b", object(), 0)
    assert quota.take(HOME, ACCOUNT, "a", second, 0) is first
    assert len(quota) == 2


def test_who_was_replaced_does_not_free_the_place_of_who_came_after():
    quota = Quota()
    first, second = object(), object()
    quota.take(HOME, ACCOUNT, "a", first, 0)
    quota.take(HOME, ACCOUNT, "a", second, 0)
    quota.leave(HOME, "a", first)
    assert len(quota) == 1
    quota.leave(HOME, "a", second)
    assert len(quota) == 0


def test_leaving_twice_or_from_nowhere_is_nothing():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.take(HOME, ACCOUNT, "b", object(), 0)
    quota.leave(HOME, "a", holder)
    quota.leave(HOME, "a", holder)
    quota.leave(("unknown", "10.0.0.1"), "a", holder)
    assert len(quota) == 1


def test_a_poller_keeps_its_place_between_two_polls_and_no_longer():
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


def test_a_poller_that_came_again_is_not_freed_by_its_former_absence():
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


def test_a_poller_that_has_left_for_good_is_not_freed_twice():
    quota = Quota()
    holder = object()
    quota.take(HOME, ACCOUNT, "a", holder, 0)
    quota.leave(HOME, "a", holder, keep_until=ABSENCE)
    quota.take(HOME, ACCOUNT, "a", holder, 1)
    quota.leave(HOME, "a", holder)
    quota.expire(ABSENCE)
    assert len(quota) == 0


def test_new_identifiers_are_bounded_within_a_minute_and_refused_ones_are_not_counted():
    quota = Quota()
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    quota.charge(HOME, ACCOUNT, most - 1, 0)
    with pytest.raises(Refused) as refused:
        quota.charge(HOME, ACCOUNT, 2, 20)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert refused.value.retry == MINUTE - 20
    quota.charge(HOME, ACCOUNT, 1, 20)
    quota.charge(("37282591", "10.0.0.2"), ACCOUNT, most, 20)
    quota.charge(HOME, ACCOUNT, most, MINUTE)


def test_one_is_never_told_to_come_back_in_no_time():
    quota = Quota()
    quota.charge(HOME, ACCOUNT, 1, 0)
    with pytest.raises(Refused) as refused:
        quota.charge(HOME, ACCOUNT, 10**6, MINUTE - 0.1)
    assert refused.value.retry == 1


def test_a_minute_of_replay_used_up_refuses_the_next_joining():
    quota = Quota()
    quota.charge(HOME, ACCOUNT, 0, 0)
    quota.replayed(HOME, ACCOUNT.listeners_per_ip * REPLAY_BYTES - 1)
    quota.charge(HOME, ACCOUNT, 0, 1)
    quota.replayed(HOME, 1)
    with pytest.raises(Refused):
        quota.charge(HOME, ACCOUNT, 0, 2)
    quota.charge(HOME, ACCOUNT, 0, MINUTE)


def test_minutes_that_are_over_are_forgotten_and_the_others_not():
    quota = Quota()
    other = ("37282591", "10.0.0.2")
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    quota.charge(HOME, ACCOUNT, most, 0)
    quota.charge(other, ACCOUNT, most, 30)
    quota.expire(MINUTE)
    quota.replayed(HOME, 10**12)  # of a minute that is over
    quota.charge(HOME, ACCOUNT, most, MINUTE)
    with pytest.raises(Refused):
        quota.charge(other, ACCOUNT, 1, MINUTE)
    quota.expire(10 * MINUTE)
    quota.charge(other, ACCOUNT, most, 10 * MINUTE)


def test_who_is_told_of_freed_places_hears_of_each_once():
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


def test_a_place_is_had_while_it_is_kept_and_not_after_it_was_removed():
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


def test_a_place_is_held_by_whoever_took_it_last():
    quota, one, other = Quota(), object(), object()
    assert not quota.is_held_by(HOME, "listener", one)
    quota.take(HOME, ACCOUNT, "listener", one, 0)
    assert quota.is_held_by(HOME, "listener", one)
    quota.take(HOME, ACCOUNT, "listener", other, 0)
    assert (quota.is_held_by(HOME, "listener", one), quota.is_held_by(HOME, "listener", other)) == (False, True)
    quota.leave(HOME, "listener", other)
    assert not quota.is_held_by(HOME, "listener", other)
