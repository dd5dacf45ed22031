"""The floors of channels without a ring."""

from operator import ge

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.floors import Floors
from cometify.core.kept_pushes import Dropped

BEGAN = 100


def floors_of(count, most):
    """Floors of channels "0", "1" ..., dropped at 1,000 and above."""
    floors = Floors(BEGAN, most)
    for number in range(count):
        floors.put(str(number), Dropped(1000 + number, number, 500 - number))
    return floors


def test_channel_without_drops_begins_with_the_memory():
    floors = Floors(BEGAN)
    floors.put("chat", Dropped(BEGAN))
    assert len(floors) == 0
    assert floors.take("chat") is None


def test_floor_is_given_back_once():
    floors = floors_of(1, 10)
    assert floors.take("0") == Dropped(1000, 0, 500)
    assert floors.take("0") is None


def test_floors_of_many_channels_are_bounded_and_hide_no_loss():
    floors = floors_of(10, 4)
    assert len(floors) == 4
    others = Dropped(1005, 5, 500)
    for number in range(6):
        assert floors.take(str(number)) == others
    assert floors.take("never pushed") == others
    for number in range(6, 10):
        assert floors.take(str(number)) == Dropped(1000 + number, number, 500 - number)


def test_floor_below_that_of_all_others_is_not_kept_apart():
    floors = floors_of(10, 4)
    floors.put("low", floors.take("low"))
    assert len(floors) == 4


def test_old_floors_are_forgotten_in_steps():
    floors = floors_of(10, 20)
    assert floors.expire(1007, 5) == 5
    assert floors.expire(1007, 5) == 3
    assert floors.expire(1007, 5) == 0
    assert len(floors) == 2
    assert floors.take("9").floor == 1009


def test_floor_of_a_channel_without_a_ring_can_be_looked_at():
    floors = floors_of(10, 3)
    assert [floors.floor_of(name) for name in ("9", "0", "never pushed to")] == [1009, 1006, 1006]
    assert floors.take("9").floor == 1009
    assert Floors(BEGAN).floor_of("9") == BEGAN


def test_floors_are_empty_only_when_that_of_all_others_is_old():
    assert Floors(BEGAN).is_empty(0, BEGAN)
    floors = floors_of(10, 1)
    assert not floors.is_empty(2000, BEGAN)
    assert floors.expire(1009, 1) == 1
    assert not floors.is_empty(1007, BEGAN)
    assert floors.is_empty(1008, BEGAN)


DROPS = st.tuples(
    st.sampled_from("abcdef"), st.builds(Dropped, st.integers(BEGAN, 109), st.integers(-1, 3), st.integers(0, 3))
)


@given(st.lists(DROPS), st.integers(1, 4))
def test_what_a_channel_has_dropped_is_never_told_too_low(drops, most):
    floors, known = Floors(BEGAN, most), dict.fromkeys("abcdef", Dropped(BEGAN))
    for identifier, dropped in drops:
        told = floors.take(identifier) or Dropped(BEGAN)
        assert all(map(ge, told, known[identifier]))
        for name, before in known.items():
            assert name == identifier or floors.floor_of(name) >= before.floor
        known[identifier] = Dropped(*map(max, known[identifier], dropped))
        floors.put(identifier, Dropped(*map(max, told, dropped)))
        assert len(floors) <= most
