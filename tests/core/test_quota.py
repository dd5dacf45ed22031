"""Thirty listeners from one address, and what one address may cost within a minute."""

from ipaddress import IPv6Address

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from cometify.core.account import Account
from cometify.core.errors import TOO_MANY_LISTENERS, Refused
from cometify.core.quota import ABSENCE, MINUTE, NEW_IDENTIFIERS, REPLAY_BYTES, Census, address_of

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
    census = Census()
    account = Account("37282591", ("secret",))
    for number in range(30):
        assert census.take(HOME, account, f"listener{number}", object(), 0) is None
    with pytest.raises(Refused) as refused:
        census.take(HOME, account, "one more", object(), 0)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert "30 listeners" in refused.value.detail
    assert len(census) == 30


def test_another_address_and_another_account_have_places_of_their_own():
    census = Census()
    for household in [HOME, ("37282591", "10.0.0.2"), ("other", "10.0.0.1")]:
        census.take(household, ACCOUNT, "a", object(), 0)
        census.take(household, ACCOUNT, "b", object(), 0)
    assert len(census) == 6


def test_where_no_listener_is_allowed_nothing_is_kept_of_a_refused_one():
    census = Census()
    with pytest.raises(Refused):
        census.take(HOME, Account("37282591", ("secret",), listeners_per_ip=0), "a", object(), 0)
    assert len(census) == 0


def test_the_same_listener_again_takes_its_own_place_also_when_all_are_taken():
    census = Census()
    first, second = object(), object()
    census.take(HOME, ACCOUNT, "a", first, 0)
    census.take(HOME, ACCOUNT, "b", object(), 0)
    assert census.take(HOME, ACCOUNT, "a", second, 0) is first
    assert len(census) == 2


def test_who_was_replaced_does_not_free_the_place_of_who_came_after():
    census = Census()
    first, second = object(), object()
    census.take(HOME, ACCOUNT, "a", first, 0)
    census.take(HOME, ACCOUNT, "a", second, 0)
    census.leave(HOME, "a", first)
    assert len(census) == 1
    census.leave(HOME, "a", second)
    assert len(census) == 0


def test_leaving_twice_or_from_nowhere_is_nothing():
    census = Census()
    holder = object()
    census.take(HOME, ACCOUNT, "a", holder, 0)
    census.take(HOME, ACCOUNT, "b", object(), 0)
    census.leave(HOME, "a", holder)
    census.leave(HOME, "a", holder)
    census.leave(("unknown", "10.0.0.1"), "a", holder)
    assert len(census) == 1


def test_a_poller_keeps_its_place_between_two_polls_and_no_longer():
    census = Census()
    holder = object()
    census.take(HOME, ACCOUNT, "a", holder, 0)
    census.take(HOME, ACCOUNT, "b", object(), 0)
    census.leave(HOME, "a", holder, keep_until=ABSENCE)
    with pytest.raises(Refused):
        census.take(HOME, ACCOUNT, "c", object(), ABSENCE - 1)
    census.expire(ABSENCE - 1)
    assert len(census) == 2
    assert census.take(HOME, ACCOUNT, "c", object(), ABSENCE) is None
    assert len(census) == 2


def test_a_poller_that_came_again_is_not_freed_by_its_former_absence():
    census = Census()
    holder = object()
    census.take(HOME, ACCOUNT, "a", holder, 0)
    census.leave(HOME, "a", holder, keep_until=ABSENCE)
    assert census.take(HOME, ACCOUNT, "a", holder, 5) is None
    census.expire(ABSENCE)
    assert len(census) == 1
    census.leave(HOME, "a", holder, keep_until=30)
    census.expire(29)
    assert len(census) == 1
    census.expire(30)
    assert len(census) == 0


def test_a_poller_that_has_left_for_good_is_not_freed_twice():
    census = Census()
    holder = object()
    census.take(HOME, ACCOUNT, "a", holder, 0)
    census.leave(HOME, "a", holder, keep_until=ABSENCE)
    census.take(HOME, ACCOUNT, "a", holder, 1)
    census.leave(HOME, "a", holder)
    census.expire(ABSENCE)
    assert len(census) == 0


def test_new_identifiers_are_bounded_within_a_minute_and_refused_ones_are_not_counted():
    census = Census()
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    census.charge(HOME, ACCOUNT, most - 1, 0)
    with pytest.raises(Refused) as refused:
        census.charge(HOME, ACCOUNT, 2, 20)
    assert refused.value.code is TOO_MANY_LISTENERS
    assert refused.value.retry == MINUTE - 20
    census.charge(HOME, ACCOUNT, 1, 20)
    census.charge(("37282591", "10.0.0.2"), ACCOUNT, most, 20)
    census.charge(HOME, ACCOUNT, most, MINUTE)


def test_one_is_never_told_to_come_back_in_no_time():
    census = Census()
    census.charge(HOME, ACCOUNT, 1, 0)
    with pytest.raises(Refused) as refused:
        census.charge(HOME, ACCOUNT, 10**6, MINUTE - 0.1)
    assert refused.value.retry == 1


def test_a_minute_of_replay_used_up_refuses_the_next_joining():
    census = Census()
    census.charge(HOME, ACCOUNT, 0, 0)
    census.replayed(HOME, ACCOUNT.listeners_per_ip * REPLAY_BYTES - 1)
    census.charge(HOME, ACCOUNT, 0, 1)
    census.replayed(HOME, 1)
    with pytest.raises(Refused):
        census.charge(HOME, ACCOUNT, 0, 2)
    census.charge(HOME, ACCOUNT, 0, MINUTE)


def test_minutes_that_are_over_are_forgotten_and_the_others_not():
    census = Census()
    other = ("37282591", "10.0.0.2")
    most = ACCOUNT.listeners_per_ip * NEW_IDENTIFIERS
    census.charge(HOME, ACCOUNT, most, 0)
    census.charge(other, ACCOUNT, most, 30)
    census.expire(MINUTE)
    census.replayed(HOME, 10**12)  # of a minute that is over
    census.charge(HOME, ACCOUNT, most, MINUTE)
    with pytest.raises(Refused):
        census.charge(other, ACCOUNT, 1, MINUTE)
    census.expire(10 * MINUTE)
    census.charge(other, ACCOUNT, most, 10 * MINUTE)


def test_who_is_told_of_freed_places_hears_of_each_once():
    freed, many = [], Account("37282591", ("secret",))
    census = Census(lambda household, listener: freed.append((household, listener)))
    for number, name in enumerate(("gone", "polls", "moved", "stays")):
        census.take(HOME, many, name, number, 0.0)
    census.leave(HOME, "gone", 0)
    census.leave(HOME, "gone", 0)
    census.leave(HOME, "polls", 1, keep_until=10.0)
    assert freed == [(HOME, "gone")]
    assert census.remove(HOME, "moved") == 2
    census.leave(HOME, "moved", 2)
    census.expire(10.0)
    assert freed == [(HOME, "gone"), (HOME, "moved"), (HOME, "polls")]


def test_a_place_is_had_while_it_is_kept_and_not_after_it_was_removed():
    census = Census()
    assert not census.has(HOME, "one")
    assert census.remove(HOME, "one") is None
    census.take(HOME, ACCOUNT, "one", "holder", 0.0)
    assert census.has(HOME, "one")
    assert not census.has(HOME, "other")
    assert census.remove(HOME, "other") is None
    census.leave(HOME, "one", "holder", keep_until=10.0)
    assert census.has(HOME, "one")
    assert census.remove(HOME, "one") is None
    assert not census.has(HOME, "one")
    assert len(census) == 0


def test_a_place_is_held_by_whoever_took_it_last():
    census, one, other = Census(), object(), object()
    assert not census.is_held_by(HOME, "listener", one)
    census.take(HOME, ACCOUNT, "listener", one, 0)
    assert census.is_held_by(HOME, "listener", one)
    census.take(HOME, ACCOUNT, "listener", other, 0)
    assert (census.is_held_by(HOME, "listener", one), census.is_held_by(HOME, "listener", other)) == (False, True)
    census.leave(HOME, "listener", other)
    assert not census.is_held_by(HOME, "listener", other)
