"""The slots of a cluster, as Redis counts them, and the reply that names their masters."""

import re

import pytest
from txredisapi import RedisError

from cometify.engine.redis.cluster.slot_map import SLOTS, name_in, read_slots, slot_of

FIRST, SECOND = [b"10.0.0.1", 6379, b"first", []], [b"", 6380, b"second", []]


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        (b"123456789", 0x31C3),  # the example of the cluster's specification
        (b"foo", 12182),
        (b"cometify:{foo}:state", 12182),  # this and the next ones as CLUSTER KEYSLOT of Redis 8 tells them
        (b"{foo}{bar}", 12182),
        (b"a{}foo", 16292),
        (b"{foo", 13308),
    ],
)
def test_slot_is_that_of_the_hash_tag(name, slot):
    assert slot_of(name) == slot


def test_names_without_a_tag_are_counted_as_a_whole():
    assert slot_of(b"a{}foo") != slot_of(b"") != slot_of(b"foo")
    assert slot_of(b"{foo") != slot_of(b"foo")


def test_name_is_found_for_a_single_slot():
    assert slot_of(name_in({9000})) == 9000
    with pytest.raises(RedisError, match="without slots"):
        name_in(())


def test_map_has_the_master_of_each_slot():
    found, unserved = read_slots([[0, 99, FIRST, SECOND], [100, SLOTS - 1, SECOND]], "asked")
    assert not unserved
    assert (str(found[0]), str(found[99])) == ("10.0.0.1:6379",) * 2
    assert str(found[100]) == str(found[-1]) == "asked:6380", (
        "a node that does not know its address is where it was asked"
    )
    assert found == read_slots([[0, 99, FIRST], [100, SLOTS - 1, SECOND]], "asked")[0]


def test_slots_of_nobody_are_told_and_the_others_served():
    found, unserved = read_slots([[100, SLOTS - 1, FIRST]], "asked")
    assert unserved == set(range(100))
    assert {str(master) for master in found} == {"10.0.0.1:6379"}
    with pytest.raises(RedisError, match=re.escape(f"{SLOTS} slots of the cluster have no master")):
        read_slots([], "asked")
